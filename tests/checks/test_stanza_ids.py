"""Stanza IDs: who may give them out, on histories in which a sender chose one."""

import pytest

from lab.checks import Value
from lab.checks.stanza_ids import check
from lab.history.events import DeviceSaw, Sent
from lab.metrics.record import RunRecord
from tests.checks.changed_history import two

BOB = "bob@home.test"
ROOM = "hall@conference.home.test"


def sid(by, value):
    return f"<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='{value}'/>"


def received(told, device, *ids, sender="alice@island.test/phone", kind="chat", message="m1"):
    told.add(
        DeviceSaw, device=device, stream="s", direction="in", name="message", type=kind, id=message, sender=sender,
        receiver=device, stanza=f"<message id='{message}'><body>x</body>{''.join(ids)}</message>",
    )  # fmt: skip


def bore(told, alice, *ids, server="home", direction="in", stream="s2s"):
    """What a server saw of the message, with these ids in it."""
    message = Sent(at=0, message="m1", sender=alice, receiver=BOB, stream="s", encryption="plain")
    told.saw("m1", server, direction, stream, message, stanza=f"<message id='m1'>{''.join(ids)}</message>")


def judged(told):
    return check(RunRecord(tuple(told.finish().events), told.plan))


def test_without_such_ids_nothing_is_judged():
    told, alice, bob = two()
    told.say(alice, bob)
    received(told, bob, sid(BOB, "own"))
    verdict = judged(told)
    assert (verdict.value, verdict.judged) == (Value.UNKNOWN, 0)


def test_a_server_that_takes_a_forged_id_out_is_valid():
    told, alice, bob = two()
    bore(told, alice, sid(BOB, "FAKE"))
    received(told, bob, sid(BOB, "own"))
    verdict = judged(told)
    assert (verdict.value, verdict.judged) == (Value.VALID, 1)


def test_a_forged_id_beside_the_server_s_own_fails():
    told, alice, bob = two()
    bore(told, alice, sid(BOB, "FAKE"))
    received(told, bob, sid(BOB, "FAKE"), sid(BOB, "own"))
    verdict = judged(told)
    (finding,) = verdict.findings
    assert (finding.value, finding.message, finding.servers) == (Value.FAILED, "m1", ("home",))
    assert f"with the stanza id FAKE, which its sender chose in the name of {BOB}" in finding.sentence


def test_a_server_that_gives_out_ids_elsewhere_must_take_out_others_too():
    told, alice, bob = two()
    bore(told, alice, sid(BOB, "FAKE"))
    received(told, bob, sid(BOB, "FAKE"))
    received(told, bob, sid(BOB, "own"), message="m0")
    assert judged(told).value is Value.FAILED


def test_of_a_server_that_gives_out_none_nothing_is_known():
    told, alice, bob = two()
    bore(told, alice, sid(BOB, "FAKE"))
    received(told, bob, sid(BOB, "FAKE"))
    assert judged(told).value is Value.UNKNOWN


def test_what_a_device_of_the_lab_chose_is_known_without_any_feed():
    told, alice, bob = two()
    told.add(
        DeviceSaw, device=alice, stream="s", direction="out", name="message", type="chat", id="m1", sender=None,
        receiver=BOB, stanza=f"<message id='m1'>{sid(BOB, 'FAKE')}</message>",
    )  # fmt: skip
    received(told, bob, sid(BOB, "FAKE"), sid(BOB, "own"))
    assert judged(told).value is Value.FAILED


def test_an_id_in_the_name_of_a_room_is_the_room_s_alone():
    told, alice, bob = two()
    bore(told, alice, sid(ROOM, "FAKE"))
    received(told, bob, sid(ROOM, "FAKE"), sid(ROOM, "own"), sender=f"{ROOM}/alice", kind="groupchat")
    assert judged(told).value is Value.FAILED


@pytest.mark.parametrize(
    ("direction", "stream", "by"),
    [
        ("out", "c2s", BOB),  # what home itself adds
        ("in", "s2s", "hall@conference.island.test"),  # a room of island's speaks to somebody on home
        ("out", "c2s", "hall@conference.island.test"),  # who is handed it by home
    ],
)
def test_what_its_owner_adds_is_no_forgery(direction, stream, by):
    told, alice, bob = two()
    bore(told, alice, sid(by, "own"), direction=direction, stream=stream)
    received(told, bob, sid(by, "own"), sender=f"{by}/alice", kind="groupchat")
    assert judged(told).judged == 0


def test_what_stands_in_a_forwarded_message_is_not_looked_at():
    told, alice, bob = two()
    bore(told, alice, f"<forwarded xmlns='urn:xmpp:forward:0'>{sid(BOB, 'FAKE')}</forwarded>")
    received(told, bob, sid(BOB, "FAKE"), sid(BOB, "own"))
    assert judged(told).judged == 0
