"""Who left a room while a message was under way may not get it."""

import pytest

from lab.checks import Value
from lab.history.events import Delivered, FaultApplied, RoomLeft, RouteSettled, Sent
from tests.checks.changed_history import change, judged, only, two

ROOM = "hall@conference.home.test"


def said():
    """Alice says something in a room in which bob is; a marker of hers arrives."""
    told, alice, bob = two()
    told.say(alice, bob, to=ROOM)
    told.routes.clear()
    change(told, told.index(Sent, message="m1"), room=True)
    change(told, told.index(Delivered, message="m1"), sender=f"{ROOM}/alice")
    return told, alice, bob


def test_what_an_occupant_misses_is_lost():
    told, alice, _ = said()
    told.add(RouteSettled, sender=alice, receiver=ROOM, arrived=True)
    told.finish()
    assert judged(told).value is Value.VALID
    told.drop(Delivered, message="m1")
    assert "is lost" in only(judged(told)).sentence


def test_what_somebody_misses_who_left_meanwhile_is_unknown():
    told, alice, bob = said()
    told.add(RoomLeft, device=bob, room=ROOM, codes=("307", "110"))
    told.add(RouteSettled, sender=alice, receiver=ROOM, arrived=True)
    told.finish()
    assert judged(told).value is Value.VALID
    told.drop(Delivered, message="m1")
    assert "it left the room meanwhile" in only(judged(told), Value.UNKNOWN).sentence


@pytest.mark.parametrize(("servers", "missing"), [((), 1), (("island",), 0), (("public",), 1)])
def test_a_room_removes_whom_it_cannot_reach(servers, missing):
    told, alice, bob = two()
    told.say(bob, alice, to=ROOM)
    told.routes.clear()
    change(told, told.index(Sent, message="m1"), room=True)
    told.drop(Delivered, message="m1")
    if servers:
        told.add(FaultApplied, number=1, fault="x", began=told.time, servers=servers)
    told.add(RoomLeft, device=alice, room=ROOM)
    told.add(RouteSettled, sender=bob, receiver=ROOM, arrived=True)
    told.finish()
    assert len(judged(told).findings) == missing, judged(told)


def test_who_leaves_after_the_marker_should_have_got_it():
    told, alice, bob = said()
    told.add(RouteSettled, sender=alice, receiver=ROOM, arrived=True)
    told.add(RoomLeft, device=bob, room=ROOM)
    told.finish().drop(Delivered, message="m1")
    assert "is lost" in only(judged(told)).sentence
