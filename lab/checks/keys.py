"""Keys: whom an encrypted message is for, beside the devices that are on the lists (lab/checks/decryption.py).

It has none for a device that its owner had removed from their list before. In a room it is for all occupants, members,
admins and owners, present or not, and for nobody who was removed (XEP-0384 section 5.8).

Rooms are judged by what the history has of joining, leaving and affiliations when the message was sent. Who changed
while it was being encrypted, or left of themselves, which others learn later, may have a key or none. Of occupants that
are not the lab's nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lab.checks.cause import describe_attacks
from lab.checks.trace import quote
from lab.checks.verdict import Finding, Value
from lab.history.events import AffiliationSet, LeftOut, RoomJoined, RoomLeft, Sent
from lab.history.key_events import DeviceRemoved, Encrypted
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord

#: Affiliations of those who read what is said while they are away.
READERS = ("owner", "admin", "member")

_PEOPLE = "the sender's device chose the wrong people (XEP-0384 section 5.8)"


@dataclass
class _Room:
    """What is known of a room at some place of the history."""

    affiliations: dict[str, str] = field(default_factory=dict)  # by bare JID
    occupants: set[str] = field(default_factory=set)  # full JIDs of devices
    removed: set[str] = field(default_factory=set)  # bare JIDs of those whom the room has told so
    changed: set[str] = field(default_factory=set)  # bare JIDs of those about whom there was an event

    def take(self, event: AffiliationSet | RoomJoined | RoomLeft) -> None:
        """Take an event into account."""
        if isinstance(event, AffiliationSet):
            self.affiliations[event.person] = event.affiliation
            self.changed.add(event.person)
            return
        person = strip_resource(event.device)
        self.changed.add(person)
        if isinstance(event, RoomJoined):
            self.occupants.add(event.device)
            self.removed.discard(person)
        else:
            self.occupants.discard(event.device)
            if event.codes:
                self.removed.add(person)

    def readers(self) -> set[str]:
        """Bare JIDs of all who are to read what is said now."""
        present = {strip_resource(device) for device in self.occupants}
        return present | {person for person, one in self.affiliations.items() if one in READERS}

    def strangers(self) -> set[str]:
        """Bare JIDs of those who certainly are not: removed from the room, or without a membership that they had."""
        former = {person for person, one in self.affiliations.items() if one not in READERS}
        return (former | self.removed) - self.readers()


def find_wrong_keys(record: RunRecord) -> Iterator[Finding]:
    """One finding for each person who has no key and should, and for each person or device with one that should not."""
    yield from _of_removed_devices(record)
    yield from _of_rooms(record)


def _of_removed_devices(record: RunRecord) -> Iterator[Finding]:
    removed = {(strip_resource(one.device), one.omemo_device): place for place, one in record.indexed(DeviceRemoved)}
    for _, event in record.indexed(Encrypted):
        sent = record.with_id(event.message, event.sender)
        for owner, device in event.devices:
            if sent is not None and removed.get((owner, device), record.announced[sent]) < record.announced[sent]:
                what = f"there is a key for OMEMO device {device} of {owner}, who had removed it before"
                yield _finding(record, sent, what, "the sender's device did not look at the receiver's device list")


def _of_rooms(record: RunRecord) -> Iterator[Finding]:
    left_out = {(one.message, one.owner) for one in record.of(LeftOut)}
    for place, event in record.indexed(Encrypted):
        sent = record.with_id(event.message, event.sender)
        if sent is None or not sent.room:
            continue
        room, changed = _describe(record, sent, place)
        with_key = {owner for owner, _ in event.devices}
        own = strip_resource(sent.sender)
        for person in sorted(room.readers() - with_key - changed - {own}):
            if (event.message, person) not in left_out:
                yield _finding(
                    record, sent, f"there is no key for {person}, who is in the room or a member of it", _PEOPLE
                )
        for person in sorted((room.strangers() & with_key) - changed - {own}):
            yield _finding(record, sent, f"there is a key for {person}, who was removed from the room before", _PEOPLE)


def _describe(record: RunRecord, sent: Sent, encrypted: int) -> tuple[_Room, set[str]]:
    """The room when a message was sent, and about whom there was an event until it was encrypted."""
    found: list[tuple[int, AffiliationSet | RoomJoined | RoomLeft]] = [
        *record.indexed(AffiliationSet),
        *record.indexed(RoomJoined),
        *record.indexed(RoomLeft),
    ]
    mine = [(place, event) for place, event in found if event.room == sent.receiver and place < encrypted]
    events = sorted(mine, key=lambda one: one[0])
    at, room = record.announced[sent], _Room()
    for place, event in events:
        if place < at:
            room.take(event)
    meanwhile = _Room()
    for place, event in events:
        if place > at:
            meanwhile.take(event)
    return room, meanwhile.changed


def _finding(record: RunRecord, sent: Sent, what: str, cause: str) -> Finding:
    servers, attacks = record.path(sent), describe_attacks(record, sent)
    text = f"Message {sent.message} from {strip_resource(sent.sender)} to {sent.receiver} ({sent.encryption}): {what}."
    return Finding(Value.FAILED, text, sent.message, servers, attacks or cause, "", quote(record.seen.get(sent, [])))
