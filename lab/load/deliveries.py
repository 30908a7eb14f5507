"""What becomes of the load's messages: marks them when they are written, judges them when they come.

A message is outstanding from its writing until it came to all its receivers of this worker or bounced. With several
workers only all of them together know: each tells its totals, and somebody adds them up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Protocol

from lab.load import ledger, stanzas
from lab.load.ledger import Ledger
from lab.load.spec import Load

_SECOND = 1e-9  # in ns
#: ns by which workers may differ on the start, at which the first message is due: each takes it from the wall clock.
START_SLACK = 100_000_000
_MICROSECOND = 1e-6


class Records(Protocol):
    """What counts; lab.load.recorder.Recorder."""

    def sent(self, route: str, intended: float, actual: float) -> None:
        """A message was written."""

    def received(self, route: str, delay_intended: float, delay_actual: float) -> None:
        """A message came."""

    def lost(self, route: str, age: float = 0.0) -> None:
        """A message never came."""

    def bounced(self, route: str, condition: str, age: float = 0.0) -> None:
        """A message came back."""

    def duplicate(self, route: str, age: float = 0.0) -> None:
        """A message came once more."""

    def out_of_order(self, route: str, age: float = 0.0) -> None:
        """A message came behind a later one."""


def routes(load: Load) -> list[list[str]]:
    """The route from each endpoint's users to each endpoint's: "local" or "a->b"."""
    names = [endpoint.server for endpoint in load.endpoints]
    return [["local" if a == b else f"{a}->{b}" for b in names] for a in names]


class Deliveries:
    """Of one worker. Times are in ns of `perf_counter_ns`; `size(room)` is how many get a room's message."""

    def __init__(self, load: Load, records: Records, size: Callable[[int], int]) -> None:
        self._records, self._size = records, size
        self._routes, self._servers = routes(load), len(load.endpoints)
        self._books = (Ledger(), Ledger())  # steady state, warm-up
        self._begin = self._steady = 0
        self.expected = self.delivered = self.bounced = 0  # receipts, both phases

    def start(self, at: int, steady: int) -> None:
        """The warm-up begins at `at`, the steady state at `steady`: what is older is another load's."""
        self._begin, self._steady = at - START_SLACK, steady

    def write(self, sender: int, target: int, intended: int, room: bool = False) -> bytes:
        """The id of a message that is written now, counted."""
        now = perf_counter_ns()
        warmup = intended < self._steady
        number = self._books[warmup].send(sender, target, room)
        self.expected += self._size(target) if room else 1
        self._records.sent(self.route(sender, None if room else target), intended * _SECOND, now * _SECOND)
        flags = (stanzas.WARMUP if warmup else 0) | (stanzas.ROOM if room else 0)
        return stanzas.mark(flags, sender, target, number, intended, now)

    def come(self, receiver: int, identity: str) -> stanzas.Fields | None:
        """A message came to a user; the fields of its mark if it is new and of this load."""
        fields = stanzas.read_mark(identity)
        if fields is None:
            return None
        flags, sender, target, number, intended, late = fields
        room = flags & stanzas.ROOM
        if flags & stanzas.ANSWER:
            return fields if sender == receiver else None
        if intended < self._begin or (not room and target != receiver):
            return None
        age = (perf_counter_ns() - intended) * _SECOND
        book = self._books[flags & stanzas.WARMUP]
        what = book.come(sender, target, number, receiver if room else None)
        route = "room" if room else self._routes[sender % self._servers][receiver % self._servers]
        if what == ledger.TWICE:
            self._records.duplicate(route, age)
            return None
        self.delivered += 1
        self._records.received(route, age, age - late * _MICROSECOND)
        if what == ledger.LATE:
            self._records.out_of_order(route, age)
        return fields

    def come_back(self, sender: int, identity: str, condition: str) -> stanzas.Fields | None:
        """A message came back to its sender as an error; the fields of its mark if that is news."""
        fields = stanzas.read_mark(identity)
        if fields is None or fields[1] != sender or fields[4] < self._begin:
            return None
        flags, _, target, number, intended, _ = fields
        room = bool(flags & stanzas.ROOM)
        if self._books[flags & stanzas.WARMUP].bounce(sender, target, number, room):
            self.bounced += self._size(target) if room else 1
            age = (perf_counter_ns() - intended) * _SECOND
            self._records.bounced(self.route(sender, None if room else target), condition, age)
            return fields
        return None

    def route(self, sender: int, receiver: int | None) -> str:
        """The route between two users, or to a room."""
        if receiver is None:
            return "room"
        return self._routes[sender % self._servers][receiver % self._servers]

    @property
    def outstanding(self) -> int:
        """Receipts that are still to come, if all receivers are this worker's."""
        return self.expected - self.delivered - self.bounced

    @property
    def books(self) -> Sequence[Ledger]:
        """The ledger of the steady state, and that of the warm-up."""
        return self._books
