"""What becomes of the load's messages: marks them when they are written, judges them when they come.

A message is outstanding from its writing until it came to all its receivers of this worker or bounced. With several
workers only all of them together know: each tells its totals, and somebody adds them up.

A presence goes the same way as a message to a room: one stanza, a receipt for each who is subscribed. A second copy of
it is none of its faults: servers answer who comes online with the newest presence of each contact (RFC 6121 section
4.3.2), id and all.
"""

from __future__ import annotations

from collections import Counter
from time import perf_counter_ns
from typing import Protocol

from lab.load.metrics import ledger
from lab.load.metrics.ledger import Ledger
from lab.load.model.message_id import (
    DELIVERY_REPORT,
    PRESENCE,
    ROOM,
    WARMUP,
    MessageId,
    decode_message_id,
    encode_message_id,
)
from lab.load.workload.recipients import Audience

_SEVERAL = ROOM | PRESENCE
_PAIR = _SEVERAL | WARMUP  # flags that tell pairs apart


class Records(Protocol):
    """What counts; lab.load.worker.recorder.Recorder. `warmup` says to which phase a message belongs."""

    def sent(self, route: str, warmup: bool, receipts: int = 1) -> None:
        """A message was written that so many should get."""

    def expect(self, route: str, warmup: bool, receipts: int) -> None:
        """What was written, and counted as sent elsewhere, should come to so many."""

    def received(self, route: str, warmup: bool, delay_intended: int, delay_actual: int) -> None:
        """A message came so many µs after it was due and written."""

    def lost(self, route: str, warmup: bool, count: int = 1) -> None:
        """Messages never came."""

    def bounced(self, route: str, warmup: bool, condition: str, count: int = 1) -> None:
        """A message came back, which so many should have got."""

    def duplicate(self, route: str, warmup: bool) -> None:
        """A message came once more."""

    def out_of_order(self, route: str, warmup: bool) -> None:
        """A message came behind a later one."""


class Deliveries:
    """Of one worker. Times are in ns of `perf_counter_ns`."""

    def __init__(self, audience: Audience, records: Records) -> None:
        self._audience, self._records = audience, records
        self._route, self._server_routes = audience.route, audience.server_routes
        self._servers = len(self._server_routes)
        self.ledger = Ledger()
        self._begin, self._steady = perf_counter_ns(), 0  # what comes with the logins is another load's
        self._told: dict[int, Counter[str]] = {}  # by user: the routes of their presences
        self.expected = self.delivered = self.bounced = 0  # receipts, both phases

    def start(self, at: int, steady: int) -> None:
        """The warm-up begins at `at`, the steady state at `steady`: what was due before is another load's."""
        self._begin, self._steady = at, steady

    def warms_up(self, intended: int) -> bool:
        """Whether what was due then belongs to the warm-up."""
        return intended < self._steady

    def write(self, sender: int, target: int, intended: int, room: bool = False) -> bytes:
        """The id of a message that is written now, counted."""
        now = perf_counter_ns()
        warmup = intended < self._steady
        flags = WARMUP if warmup else 0
        if room:
            flags |= ROOM
            receipts, route = self._audience.size(flags, target), self._route(flags, sender, target)
        else:
            receipts, route = 1, self._server_routes[sender % self._servers][target % self._servers]
        number = self.ledger.send(flags, sender, target)
        self.expected += receipts
        self._records.sent(route, warmup, receipts)
        return encode_message_id(flags, sender, target, number, intended, now)

    def write_presence(self, sender: int, intended: int) -> bytes:
        """The id of a presence that is written now, expected on each route to those who should get it."""
        now = perf_counter_ns()
        flags = PRESENCE | (WARMUP if intended < self._steady else 0)
        number = self.ledger.send(flags, sender, sender)
        if sender not in self._told:
            receivers = self._audience.receivers(flags, sender)
            self._told[sender] = Counter(self._route(flags, sender, receiver) for receiver in receivers)
        for route, receipts in self._told[sender].items():
            self.expected += receipts
            self._records.expect(route, bool(flags & WARMUP), receipts)
        return encode_message_id(flags, sender, sender, number, intended, now)

    def come(self, receiver: int, identity: str) -> MessageId | None:
        """A message or presence came to a user; the fields of its mark if it is new and of this load."""
        fields = decode_message_id(identity)
        if fields is None:
            return None
        flags, sender, target, number, intended, actual = fields
        if flags & DELIVERY_REPORT:
            return fields if sender == receiver else None
        if intended < self._begin:
            return None
        if flags & _SEVERAL:
            if not self._is_for(receiver, flags, sender):
                return None
            who, route = receiver, self._route(flags, sender, receiver)
        elif target == receiver:  # most of them, so without a call
            who, route = None, self._server_routes[sender % self._servers][receiver % self._servers]
        else:
            return None
        now, warmup = perf_counter_ns(), flags & WARMUP != 0
        what = self.ledger.come(flags, sender, target, number, who)
        if what == ledger.TWICE:
            if not flags & PRESENCE:
                self._records.duplicate(route, warmup)
            return None
        if not self.ledger.bounced or not self.ledger.has_bounced(flags, sender, target, number, who):
            self.delivered += 1
        self._records.received(route, warmup, (now - intended) // 1000, (now - actual) // 1000)
        if what == ledger.LATE:
            self._records.out_of_order(route, warmup)
        return fields

    def come_back(self, sender: int, identity: str, condition: str, by: int | None = None) -> MessageId | None:
        """A message came back to its sender as an error, a presence from `by`; the mark's fields if that is news."""
        fields = decode_message_id(identity)
        if fields is None or fields[1] != sender or fields[4] < self._begin:
            return None
        flags, _, target, number, _, _ = fields
        if flags & PRESENCE and (by is None or by not in self._audience.told[sender]):
            return None
        if not self.ledger.bounce(flags & _PAIR, sender, target, number, by if flags & PRESENCE else None):
            return None
        receivers = [by] if by is not None and flags & PRESENCE else [*self._audience.receivers(flags, target)]
        came = sum(
            self.ledger.has_come(flags, sender, target, number, who if flags & _SEVERAL else None) for who in receivers
        )
        self.bounced += len(receivers) - came
        route = self._route(flags, sender, receivers[0] if receivers else sender)
        self._records.bounced(route, bool(flags & WARMUP), condition, len(receivers))
        return fields

    def _is_for(self, receiver: int, flags: int, sender: int) -> bool:
        """Of what goes to several: a server gives what is said in a room to who is in it only."""
        told = self._audience.told
        return not flags & PRESENCE or (sender < len(told) and receiver in told[sender])

    @property
    def outstanding(self) -> int:
        """Receipts that are still to come, if all receivers are this worker's."""
        return self.expected - self.delivered - self.bounced
