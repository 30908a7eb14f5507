"""After a fault: presence, rosters, rooms, archives and device lists that agree, and what stays different."""

from dataclasses import replace

import pytest

from lab.checks import Value
from lab.checks.convergence import WITHIN, check
from lab.history.events import (
    ArchiveRead,
    Bounced,
    Delivered,
    DeviceListRead,
    DeviceSaw,
    Disconnected,
    FaultApplied,
    FaultHealed,
    Intervened,
    RosterRead,
    Sent,
    ServerEnded,
)
from lab.metrics.record import RunRecord
from tests.checks.changed_history import change, only, two
from tests.checks.sample_history import plan
from tests.checks.test_occupants import BOTH, ROOM, joined, read
from tests.checks.test_roster import ALICE, BOB, granted, received, rosters


def fault(told):
    told.add(FaultApplied, number=1, fault="cut", began=told.time, servers=("home",))
    told.add(FaultHealed, number=1, fault="cut", began=told.time)


def contacts(*, sees=True):
    """Alice sees bob by both rosters; after a fault her device was, or was not, told that his is available."""
    told = granted()
    fault(told)
    if sees:
        received(told, f"{ALICE}/phone", f"{BOB}/phone", None)
    return told


def judged(told):
    return check(RunRecord(tuple(told.events), told.plan))


def later(told, seconds=WITHIN + 1):
    told.time += seconds
    rosters(told, ("to", ""), ("from", ""))


def test_all_agree_and_the_time_is_said():
    told = contacts()
    rosters(told, ("to", ""), ("from", ""))
    for device in (f"{ALICE}/phone", f"{BOB}/phone"):
        told.add(Disconnected, device=device, stream="s")
    verdict = judged(told)
    assert verdict.value is Value.VALID and verdict.judged == 2
    assert verdict.sentence == "All agree 0.0 s after the last fault was healed, or sooner (2 comparisons)."


def test_nothing_is_judged_without_a_fault_or_without_a_reading_after_it():
    told = granted()
    rosters(told, ("to", ""), ("from", ""))
    assert (judged(told).value, judged(told).judged) == (Value.UNKNOWN, 0)
    fault(told)
    assert (judged(told).value, judged(told).judged) == (Value.UNKNOWN, 0)


def test_one_who_is_available_and_is_not_seen_is_unknown_at_first_and_failed_later():
    told = contacts(sees=False)
    rosters(told, ("to", ""), ("from", ""))
    assert "60 s may pass" in only(judged(told), Value.UNKNOWN).sentence
    later(told)
    finding = only(judged(told))
    assert f"Presence (home - island): {ALICE}/phone sees {BOB}/phone unavailable, and it is available" in (
        finding.sentence
    )
    assert finding.sentence.startswith("61 s after the last fault was healed:")


def test_one_who_is_gone_and_still_seen():
    told = contacts()
    told.add(Disconnected, device=f"{BOB}/phone", stream="s")
    later(told)
    assert f"sees {BOB}/phone available, and it is unavailable" in only(judged(told)).sentence
    received(told, f"{ALICE}/phone", f"{BOB}/phone", "unavailable")
    later(told)
    assert judged(told).value is Value.VALID


def test_unavailable_from_a_bare_jid_is_for_all_its_devices():
    told = contacts()
    received(told, f"{ALICE}/phone", BOB, "unavailable")
    later(told)
    assert "unavailable, and it is available" in only(judged(told)).sentence


def test_rosters_that_differ_are_judged_by_the_roster_check_as_well():
    told = contacts()
    told.time += WITHIN + 1
    told.add(RosterRead, person=ALICE, items=())
    told.add(RosterRead, person=BOB, items=((ALICE, "from", ""),))
    assert only(judged(told)).check == "roster"


def test_rooms_that_differ_are_judged_by_the_rooms_check_as_well():
    told, alice, bob = joined()
    fault(told)
    told.time += WITHIN + 1
    read(told, {alice: BOTH[:1], bob: BOTH})
    assert only(judged(told)).check == "rooms"
    read(told, {alice: BOTH, bob: BOTH})
    assert judged(told).value is Value.VALID


def wrote(*, stanza="<message><body>x</body></message>", room=False, arrives=True):
    """Alice wrote to bob, or to a room that both are in, then a fault was healed."""
    told, alice, bob = two(encryption="omemo")
    told.say(alice, bob, to=ROOM if room else None)
    sent = told.index(Sent, message="m1")
    change(told, sent, room=room)
    if room:
        change(told, told.index(Delivered), sender=f"{ROOM}/alice")
    if not arrives:
        told.drop(Delivered)
    told.add(
        DeviceSaw, device=alice, stream="s", direction="out", name="message", type="groupchat" if room else "chat",
        id="m1", sender=None, receiver=ROOM if room else BOB, stanza=stanza,
    )  # fmt: skip
    fault(told)
    return told


def archives(told, **messages):
    jids = {"alice": ALICE, "bob": BOB, "room": ROOM}
    for name, ids in messages.items():
        told.add(ArchiveRead, archive=jids[name], messages=tuple(ids))


def test_archives_that_hold_what_was_delivered_agree():
    told = wrote()
    archives(told, alice=["other", "m1"], bob=["m1"])
    verdict = judged(told)
    assert (verdict.value, verdict.judged, verdict.servers) == (Value.VALID, 1, ("island", "home"))


@pytest.mark.parametrize(("holding", "lacking"), [("alice", "bob"), ("bob", "alice")])
def test_a_message_in_one_archive_only_is_unknown_at_first_and_failed_later(holding, lacking):
    told = wrote()
    archives(told, **{holding: ["m1"], lacking: []})
    assert "60 s may pass" in only(judged(told), Value.UNKNOWN).sentence
    told.time += WITHIN + 1
    archives(told, **{holding: ["m1"], lacking: []})
    finding, jids = only(judged(told)), {"alice": ALICE, "bob": BOB}
    assert f"Archives (island - home): the archive of {jids[lacking]} lacks the message m1 from {ALICE}/phone to" in (
        finding.sentence
    )
    assert finding.sentence.endswith(f"and the archive of {jids[holding]} holds it.")
    assert (finding.message, finding.at) == ("m1", {"alice": "island", "bob": "home"}[lacking])
    archives(told, **{lacking: ["m1"]})
    assert judged(told).value is Value.VALID


@pytest.mark.parametrize("hint", ["no-store", "no-permanent-store"])
def test_a_message_that_is_not_to_be_stored_is_not_compared(hint):
    told = wrote(stanza=f"<message><body>x</body><{hint} xmlns='urn:xmpp:hints'/></message>")
    archives(told, alice=["m1"], bob=[])
    assert judged(told).judged == 0


def test_a_message_that_bounced_or_did_not_arrive_is_not_compared():
    told = wrote(arrives=False)
    archives(told, alice=["m1"], bob=[])
    assert judged(told).judged == 0
    told = wrote()
    told.add(Bounced, message="m1", device=f"{ALICE}/phone", condition="remote-server-timeout", by=BOB)
    archives(told, alice=["m1"], bob=[])
    assert judged(told).judged == 0


def test_a_message_that_neither_archive_holds_and_one_with_an_archive_unread_are_not_compared():
    told = wrote()
    archives(told, alice=["m1"])
    assert judged(told).judged == 0
    archives(told, alice=[], bob=[])
    assert judged(told).judged == 0


def test_what_was_sent_before_a_server_ended_is_not_compared():
    told = wrote()
    told.add(ServerEnded, server="home")
    archives(told, alice=["m1"], bob=[])
    assert judged(told).judged == 0


def test_what_an_attack_acted_on_is_not_compared():
    told = wrote()
    told.add(
        Intervened, attack="intercept", action="replace", source="island", target="home", name="message", id="m1",
        sender=f"{ALICE}/phone", receiver=BOB,
    )  # fmt: skip
    archives(told, alice=["m1"], bob=[])
    assert judged(told).judged == 0


@pytest.mark.parametrize(
    "stanza",
    [{"type": "headline"}, {"stanza": "<message><x xmlns='urn:x'/></message>"}],
    ids=["a headline", "neither a text nor a hint to keep it"],
)
def test_a_message_that_archives_are_not_for_is_not_compared(stanza):
    told = wrote()
    change(told, told.index(DeviceSaw), **stanza)
    archives(told, alice=["m1"], bob=[])
    assert judged(told).judged == 0


def test_a_server_without_archives_has_none_to_compare():
    told = wrote()
    island, home, public = plan().topology.servers
    told.plan = plan((island, replace(home, features=("-mam",)), public))
    archives(told, alice=["m1"], bob=[])
    assert judged(told).judged == 0


def test_a_room_s_archive_holds_what_the_room_delivered():
    told = wrote(room=True)
    told.time += WITHIN + 1
    archives(told, room=["m1"])
    assert (judged(told).value, judged(told).judged) == (Value.VALID, 1)
    archives(told, room=[])
    finding = only(judged(told))
    assert f"the archive of {ROOM} lacks the message m1" in finding.sentence
    assert finding.sentence.endswith("and the room has delivered it.") and finding.at == "island"


def lists(told, read, held):
    told.add(DeviceListRead, reader=f"{ALICE}/phone", owner=BOB, devices=read)
    told.add(DeviceListRead, reader=f"{BOB}/phone", owner=BOB, devices=held)


def test_device_lists_that_a_contact_and_the_own_server_agree_on():
    told = wrote()
    lists(told, (2, 1), (1, 2))
    assert (judged(told).value, judged(told).judged) == (Value.VALID, 1)


def test_a_device_list_that_a_contact_reads_otherwise_than_its_own_server_holds_it():
    told = wrote()
    told.time += WITHIN + 1
    lists(told, (1,), (1, 2))
    finding = only(judged(told))
    assert f"Device lists (island - home): {ALICE}/phone reads 1 of {BOB}, whose own server holds 1, 2." in (
        finding.sentence
    )
    lists(told, (), (1, 2))
    assert f"reads no device of {BOB}" in only(judged(told)).sentence


def test_archives_and_device_lists_that_were_read_before_the_healing_are_not_compared():
    told = wrote()
    archives(told, alice=["m1"], bob=[])
    lists(told, (1,), (1, 2))
    fault(told)
    assert (judged(told).value, judged(told).judged) == (Value.UNKNOWN, 0)
    before = list(told.events)
    archives(told, alice=["m1"], bob=["m1"])
    assert judged(told).judged == 1, "the archives"
    told.events[:] = before
    lists(told, (1,), (1,))
    assert judged(told).judged == 1, "the list"


def test_rosters_that_were_read_before_the_healing_are_not_judged_with_archives_that_were_read_after_it():
    told = granted()
    rosters(told)
    fault(told)
    archives(told, alice=[], bob=[])
    assert judged(told).judged == 0
