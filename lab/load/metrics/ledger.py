"""Which message of which pair was sent and which was received: loss, duplicates and order, message by message.

A pair is a sender and a target (a user, a room, or for presences the sender's own contacts); flags of the message id
distinguish the three. The messages of a pair are numbered from 0. The sender's worker counts what it sent; the
receiver's worker stores the next number that it expects and the gaps before it. Where both are the same worker, it
knows what is missing; else both send their half (`entries`), and `merge_ledgers` combines them.

With `due` the sender's worker also keeps when each message was due, in tenths of a second since the start of the load,
so that it is known when a lost or bounced one was.

Pairs of the warm-up are separate from those of the steady state: a number belongs to the phase in which it was due.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.load.model.message_id import PRESENCE, ROOM, WARMUP

NEW, LATE, DUPLICATE = range(3)  # a received message: LATE is one that arrives after a later one of its pair

#: A pair and its receiver in one number: receiver (rooms and presences only, from 1), flags, sender, target.
_SENDER, _FLAGS, _RECEIVER = 32, 64, 72
_LOW, _ALL_FLAGS = 0xFFFFFFFF, 0xFF

#: What `received` is called in entries.
_RECEIVED = "came"
#: What a tenth of a second is called in times that a message was due.
TENTHS = 10

#: Pairs in one entry: a line of JSON stays far below the 64 KiB that readers take by default.
ENTRY = 1000

#: Who should get what is written to a target, by the flags of its id.
FindReceivers = Callable[[int, int], Iterable[int]]


@dataclass(frozen=True)
class MissingMessage:
    """A message that a receiver never received, although the engine waited."""

    sender: int
    receiver: int
    room: int | None
    sequence: int
    presence: bool = False
    warmup: bool = False
    due: int | None = None  # tenths of a second since the start of the load, None if that was not kept

    def to_json(self) -> dict[str, Any]:
        """The fields; when it was due only if that is known."""
        return {name: value for name, value in asdict(self).items() if name != "due" or value is not None}


@dataclass(slots=True)
class Ledger:
    """The ledger of one worker, or of all. Of the flags of an id, PRESENCE, ROOM and WARMUP distinguish pairs."""

    sent: dict[int, int] = field(default_factory=dict)  # pair -> how many
    received: dict[int, int] = field(default_factory=dict)  # pair and receiver -> next number
    gaps: dict[int, set[int]] = field(default_factory=dict)  # pair and receiver -> earlier numbers not received
    bounced: dict[int, set[int]] = field(default_factory=dict)  # pair, for presences and receiver -> numbers
    due: dict[int, array[int]] = field(default_factory=dict)  # pair -> when each of its messages was due, if kept

    def send(self, flags: int, sender: int, target: int) -> int:
        """The number of the pair's next message."""
        pair = sender << _SENDER | target
        if flags:  # most messages have none, and numbers of three digits are slower
            pair |= flags << _FLAGS
        number = self.sent.get(pair, 0)
        self.sent[pair] = number + 1
        return number

    def keep_due(self, flags: int, sender: int, target: int, tenth: int) -> None:
        """The message of a pair that was sent last was due at that tenth of a second of the load."""
        pair = flags << _FLAGS | sender << _SENDER | target
        self.due.setdefault(pair, array("L")).append(tenth)

    def receive(self, flags: int, sender: int, target: int, number: int, receiver: int | None = None) -> int:
        """Record a received message; returns NEW, LATE or DUPLICATE."""
        key = sender << _SENDER | target
        if flags:
            key |= flags << _FLAGS
        if receiver is not None:
            key |= receiver + 1 << _RECEIVER
        due = self.received.get(key, 0)
        if number == due:
            self.received[key] = due + 1
            return NEW
        if number > due:
            self.gaps.setdefault(key, set()).update(range(due, number))
            self.received[key] = number + 1
            return NEW
        gap = self.gaps.get(key)
        if gap is None or number not in gap:
            return DUPLICATE
        gap.remove(number)
        return LATE

    def bounce(self, flags: int, sender: int, target: int, number: int, receiver: int | None = None) -> bool:
        """Record an error for a message, from one receiver if it is a presence; whether it is the first one."""
        key = flags << _FLAGS | sender << _SENDER | target
        if receiver is not None:
            key |= receiver + 1 << _RECEIVER
        numbers = self.bounced.setdefault(key, set())
        first = number not in numbers
        numbers.add(number)
        return first

    def has_received(self, flags: int, sender: int, target: int, number: int, receiver: int | None = None) -> bool:
        """Whether a message was received, as far as this ledger knows."""
        key = flags << _FLAGS | sender << _SENDER | target
        if receiver is not None:
            key |= receiver + 1 << _RECEIVER
        return number < self.received.get(key, 0) and number not in self.gaps.get(key, ())

    def has_bounced(self, flags: int, sender: int, target: int, number: int, receiver: int | None = None) -> bool:
        """Whether a message was returned as an error, as far as this ledger knows."""
        key = flags << _FLAGS | sender << _SENDER | target
        if receiver is not None and flags & PRESENCE:
            key |= receiver + 1 << _RECEIVER
        return number in self.bounced.get(key, ())

    def list_missing(self, receivers: FindReceivers) -> Iterator[MissingMessage]:
        """Messages that were neither received nor returned as an error, by receiver; of pairs that this ledger sent."""
        for pair, count in self.sent.items():
            for receiver, key, bounced in self._receivers_of(pair, receivers):
                due = self.received.get(key, 0)
                for number in sorted(self.gaps.get(key, set()).union(range(due, count)) - bounced):
                    yield self._message(pair, receiver, number)

    def list_received_and_bounced(self, receivers: FindReceivers) -> Iterator[MissingMessage]:
        """Messages that were received and also returned as an error: a server reported a failure, and delivered."""
        for pair in self.sent:
            for receiver, key, bounced in self._receivers_of(pair, receivers):
                due, gaps = self.received.get(key, 0), self.gaps.get(key, set())
                for number in sorted(number for number in bounced - gaps if number < due):
                    yield self._message(pair, receiver, number)

    def list_bounced(self, receivers: FindReceivers) -> Iterator[MissingMessage]:
        """Messages that were returned as an error, by receiver; of pairs that this ledger sent."""
        for pair in self.sent:
            for receiver, _, bounced in self._receivers_of(pair, receivers):
                for number in sorted(bounced):
                    yield self._message(pair, receiver, number)

    def _message(self, pair: int, receiver: int, number: int) -> MissingMessage:
        flags, due = pair >> _FLAGS & _ALL_FLAGS, self.due.get(pair, ())
        room = pair & _LOW if flags & ROOM else None
        return MissingMessage(
            pair >> _SENDER & _LOW,
            receiver,
            room,
            number,
            bool(flags & PRESENCE),
            bool(flags & WARMUP),
            due[number] if number < len(due) else None,
        )

    def _receivers_of(self, pair: int, receivers: FindReceivers) -> Iterator[tuple[int, int, set[int]]]:
        """Each receiver of a pair, its key, and the numbers that were returned as errors from there."""
        flags, target = pair >> _FLAGS & _ALL_FLAGS, pair & _LOW
        bounced = self.bounced.get(pair, set())
        if not flags & (ROOM | PRESENCE):
            yield target, pair, bounced
            return
        for receiver in receivers(flags, target):
            key = pair | receiver + 1 << _RECEIVER
            yield receiver, key, self.bounced.get(key, bounced) if flags & PRESENCE else bounced

    def list_entries(self) -> Iterator[dict[str, Any]]:
        """The whole ledger as JSON-able parts of at most ENTRY pairs, for `merge_ledgers`."""
        for name, numbers in (("sent", self.sent), (_RECEIVED, self.received)):
            yield from ({name: part} for part in _split(list(numbers.items())))
        for name, sets in (("gaps", self.gaps), ("bounced", self.bounced)):
            flat = [(key, number) for key, numbers in sets.items() for number in sorted(numbers)]
            yield from ({name: part} for part in _split(flat))
        yield from ({"due": part} for part in _split([(key, at) for key, times in self.due.items() for at in times]))


def merge_ledgers(entries: Iterable[dict[str, Any]]) -> Ledger:
    """The ledger of all workers from the entries of all."""
    merged = Ledger()
    numbers, sets = {"sent": merged.sent, _RECEIVED: merged.received}, {"gaps": merged.gaps, "bounced": merged.bounced}
    for entry in entries:
        for name, pairs in entry.items():
            for key, number in pairs:
                if name in numbers:
                    numbers[name][int(key)] = number
                elif name == "due":  # those of a pair are in order, since one worker has them all
                    merged.due.setdefault(int(key), array("L")).append(number)
                else:
                    sets[name].setdefault(int(key), set()).add(number)
    return merged


def _split(items: Sequence[tuple[int, int]]) -> Iterator[list[list[object]]]:
    """Keys as text: JSON readers other than Python's end integers at 53 bits."""
    for at in range(0, len(items), ENTRY):
        yield [[str(key), number] for key, number in items[at : at + ENTRY]]
