"""Which message of which pair was sent and which came: loss, duplicates and order per message, never as a remainder.

A pair is a sender and a target (a user, a room, or for presences the sender's own contacts), told apart by the flags
of a mark; its messages are numbered from 0. The sender's worker counts what it sent, the receiver's worker notes the
next number it waits for and the gaps before it. Where both are the same worker it knows what is missing; else both
send their half (`entries`), and `settle` puts them together.

The warm-up's pairs are apart from those of the steady state: a number belongs to the phase in which it was due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.load.model.message_id import PRESENCE, ROOM, WARMUP

NEW, LATE, TWICE = range(3)  # what a message turned out to be

#: A pair and its receiver in one number: receiver (rooms and presences only, from 1), flags, sender, target.
_SENDER, _FLAGS, _RECEIVER = 32, 64, 72
_LOW, _ALL_FLAGS = 0xFFFFFFFF, 0xFF

#: Pairs in one entry: a line of JSON stays far below the 64 KiB that readers take by default.
ENTRY = 1000

#: Who should get what is written to a target, by the flags of its mark.
Receivers = Callable[[int, int], Iterable[int]]


@dataclass(frozen=True)
class Missing:
    """A message that never came to a receiver, although the engine waited."""

    sender: int
    receiver: int
    room: int | None
    sequence: int
    presence: bool = False
    warmup: bool = False


@dataclass(slots=True)
class Ledger:
    """Of one worker, or of all. `flags` are those of a mark: of them PRESENCE, ROOM and WARMUP tell pairs apart."""

    sent: dict[int, int] = field(default_factory=dict)  # pair -> how many
    came: dict[int, int] = field(default_factory=dict)  # pair and receiver -> next number
    gaps: dict[int, set[int]] = field(default_factory=dict)  # pair and receiver -> numbers before it that did not come
    bounced: dict[int, set[int]] = field(default_factory=dict)  # pair, for presences and receiver -> numbers

    def send(self, flags: int, sender: int, target: int) -> int:
        """The number of the pair's next message."""
        pair = sender << _SENDER | target
        if flags:  # most messages have none, and numbers of three digits are slower
            pair |= flags << _FLAGS
        number = self.sent.get(pair, 0)
        self.sent[pair] = number + 1
        return number

    def come(self, flags: int, sender: int, target: int, number: int, receiver: int | None = None) -> int:
        """Note a message that came: NEW, LATE (behind a later one), TWICE."""
        key = sender << _SENDER | target
        if flags:
            key |= flags << _FLAGS
        if receiver is not None:
            key |= receiver + 1 << _RECEIVER
        due = self.came.get(key, 0)
        if number == due:
            self.came[key] = due + 1
            return NEW
        if number > due:
            self.gaps.setdefault(key, set()).update(range(due, number))
            self.came[key] = number + 1
            return NEW
        gap = self.gaps.get(key)
        if gap is None or number not in gap:
            return TWICE
        gap.remove(number)
        return LATE

    def bounce(self, flags: int, sender: int, target: int, number: int, receiver: int | None = None) -> bool:
        """Note a message that came back, from one receiver if it is a presence; whether that is news."""
        key = flags << _FLAGS | sender << _SENDER | target
        if receiver is not None:
            key |= receiver + 1 << _RECEIVER
        numbers = self.bounced.setdefault(key, set())
        news = number not in numbers
        numbers.add(number)
        return news

    def has_come(self, flags: int, sender: int, target: int, number: int, receiver: int | None = None) -> bool:
        """Whether a message came, as far as this ledger knows."""
        key = flags << _FLAGS | sender << _SENDER | target
        if receiver is not None:
            key |= receiver + 1 << _RECEIVER
        return number < self.came.get(key, 0) and number not in self.gaps.get(key, ())

    def has_bounced(self, flags: int, sender: int, target: int, number: int, receiver: int | None = None) -> bool:
        """Whether a message came back, as far as this ledger knows."""
        key = flags << _FLAGS | sender << _SENDER | target
        if receiver is not None and flags & PRESENCE:
            key |= receiver + 1 << _RECEIVER
        return number in self.bounced.get(key, ())

    def missing(self, receivers: Receivers) -> Iterator[Missing]:
        """What neither came nor came back, and to whom. Only of pairs that this ledger sent."""
        for pair, count in self.sent.items():
            for receiver, key, back in self._ways(pair, receivers):
                due = self.came.get(key, 0)
                for number in sorted(self.gaps.get(key, set()).union(range(due, count)) - back):
                    yield _missing(pair, receiver, number)

    def both(self, receivers: Receivers) -> Iterator[Missing]:
        """What came although it came back, too: a server said that it could not deliver, and did."""
        for pair in self.sent:
            for receiver, key, back in self._ways(pair, receivers):
                due, gaps = self.came.get(key, 0), self.gaps.get(key, set())
                for number in sorted(number for number in back - gaps if number < due):
                    yield _missing(pair, receiver, number)

    def _ways(self, pair: int, receivers: Receivers) -> Iterator[tuple[int, int, set[int]]]:
        """Each receiver of a pair, its key, and the numbers that came back from there."""
        flags, target = pair >> _FLAGS & _ALL_FLAGS, pair & _LOW
        back = self.bounced.get(pair, set())
        if not flags & (ROOM | PRESENCE):
            yield target, pair, back
            return
        for receiver in receivers(flags, target):
            key = pair | receiver + 1 << _RECEIVER
            yield receiver, key, self.bounced.get(key, back) if flags & PRESENCE else back

    def entries(self) -> Iterator[dict[str, Any]]:
        """The whole ledger as JSON-able pieces of at most ENTRY pairs, for `settle`."""
        for name in ("sent", "came"):
            yield from ({name: piece} for piece in _pieces(list(getattr(self, name).items())))
        for name in ("gaps", "bounced"):
            flat = [(key, number) for key, numbers in getattr(self, name).items() for number in sorted(numbers)]
            yield from ({name: piece} for piece in _pieces(flat))


def settle(entries: Iterable[dict[str, Any]]) -> Ledger:
    """The ledger of all workers from the entries of all: ask it for what is missing."""
    whole = Ledger()
    for entry in entries:
        for name, pairs in entry.items():
            book = getattr(whole, name)
            for key, number in pairs:
                if name in ("sent", "came"):
                    book[int(key)] = number
                else:
                    book.setdefault(int(key), set()).add(number)
    return whole


def _missing(pair: int, receiver: int, number: int) -> Missing:
    flags = pair >> _FLAGS & _ALL_FLAGS
    room = pair & _LOW if flags & ROOM else None
    sender = pair >> _SENDER & _LOW
    return Missing(sender, receiver, room, number, bool(flags & PRESENCE), bool(flags & WARMUP))


def _pieces(items: Sequence[tuple[int, int]]) -> Iterator[list[list[object]]]:
    """Keys as text: JSON readers other than Python's end integers at 53 bits."""
    for at in range(0, len(items), ENTRY):
        yield [[str(key), number] for key, number in items[at : at + ENTRY]]
