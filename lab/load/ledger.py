"""Which message of which pair was sent and which came: loss, duplicates and order per message, never as a remainder.

A pair is a sender and a target (a user, or a room); its messages are numbered from 0. The sender's worker counts what
it sent, the receiver's worker notes the next number it waits for and the gaps before it. Where both are the same
worker it knows what is missing; else both send their half (`entries`), and `settle` puts them together.

Two ledgers, one for the warm-up: a number belongs to the phase in which its message was due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

NEW, LATE, TWICE = range(3)  # what a message turned out to be

#: A pair and its receiver in one number: receiver (rooms only, from 1), room or user, sender, target.
_SENDER, _ROOM, _RECEIVER = 32, 64, 65
_LOW = 0xFFFFFFFF

#: Pairs in one entry: a line of JSON stays far below the 64 KiB that readers take by default.
ENTRY = 1000


@dataclass(frozen=True)
class Missing:
    """A message that never came to a receiver, although the engine waited."""

    sender: int
    receiver: int
    room: int | None
    sequence: int


@dataclass
class Ledger:
    """One phase of one worker."""

    sent: dict[int, int] = field(default_factory=dict)  # pair -> how many
    came: dict[int, int] = field(default_factory=dict)  # pair and receiver -> next number
    gaps: dict[int, set[int]] = field(default_factory=dict)  # pair and receiver -> numbers before it that did not come
    bounced: dict[int, set[int]] = field(default_factory=dict)  # pair -> numbers

    def send(self, sender: int, target: int, room: bool = False) -> int:
        """The number of the pair's next message."""
        pair = room << _ROOM | sender << _SENDER | target
        number = self.sent.get(pair, 0)
        self.sent[pair] = number + 1
        return number

    def come(self, sender: int, target: int, number: int, room_receiver: int | None = None) -> int:
        """Note a message that came: NEW, LATE (behind a later one), TWICE."""
        key = sender << _SENDER | target
        if room_receiver is not None:
            key |= room_receiver + 1 << _RECEIVER | 1 << _ROOM
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

    def bounce(self, sender: int, target: int, number: int, room: bool = False) -> bool:
        """Note a message that came back; whether that is news."""
        numbers = self.bounced.setdefault(room << _ROOM | sender << _SENDER | target, set())
        news = number not in numbers
        numbers.add(number)
        return news

    def missing(self, receivers: Callable[[int], Iterable[int]]) -> Iterator[Missing]:
        """What did not come, to whom; `receivers` gives a room's people. Only of pairs that this ledger sent."""
        for pair, count in self.sent.items():
            sender, target = pair >> _SENDER & _LOW, pair & _LOW
            is_room = bool(pair >> _ROOM & 1)
            back: set[int] = self.bounced.get(pair, set())
            for receiver in receivers(target) if is_room else (target,):
                key = pair | receiver + 1 << _RECEIVER if is_room else pair
                due = self.came.get(key, 0)
                absent = self.gaps.get(key, set()).union(range(due, count)) - back
                for number in sorted(absent):
                    yield Missing(sender, receiver, target if is_room else None, number)

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


def _pieces(items: Sequence[tuple[int, int]]) -> Iterator[list[list[object]]]:
    """Keys as text: JSON readers other than Python's end integers at 53 bits."""
    for at in range(0, len(items), ENTRY):
        yield [[str(key), number] for key, number in items[at : at + ENTRY]]
