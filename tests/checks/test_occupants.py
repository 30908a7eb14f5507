"""Lists of occupants that agree, and histories with ghosts and with somebody who is missing."""

from lab.checks import Value
from lab.checks.rooms import check
from lab.history.events import Disconnected, OccupantsRead, RoomJoined, RoomLeft
from lab.metrics.record import RunRecord
from tests.checks.changed_history import only, two

ROOM = "square@conference.island.test"
BOTH = (f"{ROOM}/alice", f"{ROOM}/bob")


def joined():
    told, alice, bob = two()
    for device, nick in ((alice, "alice"), (bob, "bob")):
        told.add(RoomJoined, device=device, room=ROOM, nick=nick)
    return told, alice, bob


def read(told, readings, host=BOTH):
    for reader, occupants in {**readings, ROOM: host}.items():
        told.add(OccupantsRead, room=ROOM, reader=reader, occupants=tuple(occupants))


def judged(told):
    return check(RunRecord(tuple(told.events), told.plan))


def test_lists_that_agree_are_valid_also_when_all_have_left_afterwards():
    told, alice, bob = joined()
    read(told, {alice: BOTH, bob: BOTH})
    told.add(Disconnected, device=bob, stream="s")
    told.add(RoomLeft, device=bob, room=ROOM)
    verdict = judged(told)
    assert verdict.sentence == "1 room: the lists of 2 occupants equal the host's."
    assert (verdict.value, verdict.servers) == (Value.VALID, ("island",))


def test_nothing_is_judged_without_the_room_s_own_list():
    told, alice, _ = joined()
    told.add(OccupantsRead, room=ROOM, reader=alice, occupants=())
    assert (judged(told).value, judged(told).judged) == (Value.UNKNOWN, 0)


def test_one_who_is_gone_and_still_on_the_list_is_a_ghost():
    told, alice, bob = joined()
    told.add(RoomLeft, device=bob, room=ROOM)
    read(told, {alice: BOTH})
    finding = only(judged(told))
    assert f"{ROOM}/bob is gone and still on the host's list: a ghost" in finding.sentence
    assert finding.at == "island"


def test_one_who_joined_and_is_not_on_the_list():
    told, alice, _ = joined()
    read(told, {alice: BOTH[:1]}, BOTH[:1])
    assert f"{ROOM}/bob has joined and is not on the host's list" in only(judged(told)).sentence


def test_a_list_that_differs_from_the_host_s_says_how():
    told, alice, bob = joined()
    read(told, {alice: BOTH, bob: (BOTH[1], f"{ROOM}/carol")})
    finding = only(judged(told))
    assert f"the list of {bob} misses {ROOM}/alice and has besides {ROOM}/carol" in finding.sentence
    assert finding.servers == ("island", "home")


def test_the_last_reading_counts():
    told, alice, bob = joined()
    read(told, {alice: (), bob: BOTH})
    assert judged(told).value is Value.FAILED
    read(told, {alice: BOTH, bob: BOTH})
    assert judged(told).value is Value.VALID


def test_occupants_that_are_not_the_lab_s_are_compared_only():
    told, alice, bob = joined()
    more = (*BOTH, f"{ROOM}/carol")
    read(told, {alice: more, bob: more}, more)
    assert judged(told).value is Value.VALID
