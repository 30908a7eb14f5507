"""Whom an encrypted message is for: everybody in a room, members who are away, and nobody who was removed."""

import pytest

from lab.checks import Value
from lab.checks.keys import find_wrong_keys
from lab.history.events import (
    AffiliationSet,
    Connected,
    Decrypted,
    Delivered,
    LeftOut,
    NotDecrypted,
    RoomJoined,
    RoomLeft,
    Sent,
)
from lab.history.key_events import DeviceRemoved, Encrypted
from lab.metrics.record import RunRecord
from tests.checks.changed_history import change, judged, only, two

ROOM = "hall@conference.home.test"
ALICE, BOB, CAROL = "alice@island.test", "bob@home.test", "carol@home.test"


class InRoom:
    """Alice, the owner, and bob are in a room; carol is a member who is not there."""

    def __init__(self):
        self.told, self.alice, self.bob = two(encryption="omemo")
        self.affiliation(ALICE, "owner")
        for device in (self.alice, self.bob):
            self.joined(device)
        self.affiliation(CAROL, "member")

    def joined(self, device):
        self.told.add(RoomJoined, device=device, room=ROOM, nick=device.partition("@")[0])

    def left(self, device, *codes):
        self.told.add(RoomLeft, device=device, room=ROOM, codes=codes)

    def affiliation(self, person, affiliation, room=ROOM):
        self.told.add(AffiliationSet, room=room, person=person, affiliation=affiliation)

    def says(self, *readers, meanwhile=None):
        self.told.add(
            Sent, message="m1", sender=self.alice, receiver=ROOM, stream="s", encryption="omemo", room=True, expected=()
        )
        if meanwhile:
            meanwhile()
        devices = tuple((person, number) for number, person in enumerate(readers))
        self.told.add(Encrypted, message="m1", sender=self.alice, devices=devices)
        return [one.sentence for one in find_wrong_keys(RunRecord(tuple(self.told.events), self.told.plan))]


def test_all_who_should_have_a_key_and_nobody_else():
    assert InRoom().says(BOB, CAROL) == []


@pytest.mark.parametrize("forgotten", [BOB, CAROL])
def test_an_occupant_or_a_member_who_was_forgotten(forgotten):
    (said,) = InRoom().says(*{BOB, CAROL} - {forgotten})
    assert f"m1 from {ALICE} to {ROOM}" in said
    assert f"there is no key for {forgotten}, who is in the room or a member of it" in said


def test_the_delivery_check_says_it():
    there = InRoom()
    there.says(BOB)
    assert only(judged(there.told.finish())).message == "m1"


def test_who_was_left_out_is_judged_by_why():
    there = InRoom()
    there.told.add(LeftOut, message="m1", sender=there.alice, owner=CAROL, omemo_device=7, reason="", published=False,
                   excluded=False)  # fmt: skip
    assert there.says(BOB) == []


@pytest.mark.parametrize("affiliation", ["none", "outcast"])
def test_whose_membership_has_ended(affiliation):
    there = InRoom()
    there.affiliation(CAROL, affiliation)
    (said,) = there.says(BOB, CAROL)
    assert f"there is a key for {CAROL}, who was removed from the room before" in said


def test_who_was_kicked_and_is_no_member():
    there = InRoom()
    there.left(there.bob, "307", "110")
    (said,) = there.says(BOB, CAROL)
    assert f"there is a key for {BOB}" in said


def test_who_was_kicked_and_is_a_member_or_is_back():
    for back in (lambda there: there.affiliation(BOB, "member"), lambda there: there.joined(there.bob)):
        there = InRoom()
        there.left(there.bob, "307")
        back(there)
        assert there.says(BOB, CAROL) == []


def test_who_has_left_may_have_a_key_or_none():
    for readers in ((CAROL,), (BOB, CAROL)):
        there = InRoom()
        there.left(there.bob)
        assert there.says(*readers) == []


def test_who_changes_while_it_is_encrypted_may_have_a_key_or_none():
    for readers in ((BOB,), (BOB, CAROL)):
        there = InRoom()
        assert there.says(*readers, meanwhile=lambda there=there: there.affiliation(CAROL, "none")) == []


def test_other_rooms_do_not_count():
    there = InRoom()
    there.affiliation("dave@home.test", "member", room="other@conference.home.test")
    assert there.says(BOB, CAROL) == []


def encrypted_for(told, alice, *devices):
    told.add(Encrypted, message="m1", sender=alice, devices=devices)


def test_a_device_that_was_removed_before_has_no_key():
    told, alice, bob = two(encryption="omemo")
    told.add(DeviceRemoved, device=bob, omemo_device=7, by=f"{BOB}/other")
    told.say(alice, bob, encryption="omemo")
    encrypted_for(told, alice, (BOB, 7))
    assert "OMEMO device 7 of bob@home.test, who had removed it before" in only(judged(told.finish())).sentence


def test_a_device_that_is_removed_later_may_have_one():
    told, alice, bob = two(encryption="omemo")
    told.say(alice, bob, encryption="omemo")
    told.add(DeviceRemoved, device=bob, omemo_device=7, by=f"{BOB}/other")
    encrypted_for(told, alice, (BOB, 7), (CAROL, 7))
    assert judged(told.finish()).value is Value.VALID


def reader_of_the_archive(**decrypted):
    """What alice says reaches bob; carol, who has a key, gets it from the archive."""
    told, alice, bob = two(encryption="omemo")
    carol = told.device("carol", "home", encryption="omemo")
    change(told, told.index(Connected, device=carol), omemo_device=3)
    told.say(alice, bob, encryption="omemo")
    encrypted_for(told, alice, (BOB, 2), (CAROL, 3))
    place = told.index(Sent, message="m1")
    change(told, place, room=True, receiver=ROOM)
    told.add(Delivered, message="m1", sender=f"{ROOM}/alice", device=carol, stream="s", via="archive")
    if decrypted:
        told.add(Decrypted, message="m1", device=carol, encryption="omemo", sender=f"{ROOM}/alice", **decrypted)
    else:
        told.add(NotDecrypted, message="m1", device=carol, encryption="omemo", reason="no", sender=f"{ROOM}/alice")
    return told.finish(), carol


def test_who_has_a_key_reads_it_from_the_archive_too():
    told, _ = reader_of_the_archive(matches=True)
    assert judged(told).value is Value.VALID
    told, carol = reader_of_the_archive()
    assert f"{carol} could not decrypt it" in only(judged(told)).sentence


def test_who_has_no_key_need_not_read_the_history():
    told, carol = reader_of_the_archive()
    change(told, told.index(Connected, device=carol), omemo_device=4)
    assert judged(told).value is Value.VALID


def test_nobody_encrypts_for_the_device_that_writes():
    told, alice, bob = two(encryption="omemo")
    told.say(alice, bob, encryption="omemo")
    change(told, told.index(Sent, message="m1"), room=True, receiver=ROOM, expected=(bob, alice))
    told.add(Delivered, message="m1", sender=f"{ROOM}/alice", device=alice, stream="s", via="live")
    assert judged(told.finish()).value is Value.VALID
