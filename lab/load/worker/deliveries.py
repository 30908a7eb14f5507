"""Counts the load's messages and presences: gives each an id when it is sent, and reads the id when it is received.

A message is outstanding from its sending until all its receivers of this worker have received it, or it has bounced.
With several workers only all of them together know that: each reports its totals, and the coordinator adds them up.

A presence is counted like a message to a room: one stanza, with a receipt for each subscribed contact. A second copy is
no duplicate: servers send a user who comes online the last presence of each contact (RFC 6121 section 4.3.2), with the
same id.
"""

from __future__ import annotations

from collections import Counter
from time import perf_counter_ns

from lab.load.metrics import ledger
from lab.load.metrics.ledger import Ledger
from lab.load.metrics.sample_recorder import SampleRecorder
from lab.load.model.message_id import (
    DELIVERY_REPORT,
    PRESENCE,
    ROOM,
    WARMUP,
    MessageId,
    decode_message_id,
    encode_message_id,
)
from lab.load.workload.recipients import Recipients

_SEVERAL_RECEIVERS = ROOM | PRESENCE
_PAIR = _SEVERAL_RECEIVERS | WARMUP  # flags that distinguish pairs in the ledger


class Deliveries:
    """The messages of one worker's users. Times are in ns of `perf_counter_ns`."""

    def __init__(self, recipients: Recipients, recorder: SampleRecorder, *, due_times: bool = False) -> None:
        self._recipients, self._recorder = recipients, recorder
        self._route, self._server_routes = recipients.route, recipients.server_routes
        self._servers = len(self._server_routes)
        self.ledger, self._due_times = Ledger(), due_times
        self._start, self._steady = perf_counter_ns(), 0  # messages received with the logins are of another load
        self._presence_routes: dict[int, Counter[str]] = {}  # by user: receipts of their presence
        self.expected = self.delivered = self.bounced = 0  # receipts, both phases

    def start(self, at: int, steady: int) -> None:
        """The warm-up starts at `at`, the steady state at `steady`. Messages due before `at` are of another load."""
        self._start, self._steady = at, steady

    def in_warmup(self, intended: int) -> bool:
        """Whether an action that was due at `intended` belongs to the warm-up."""
        return intended < self._steady

    def register_message(self, sender: int, target: int, intended: int, room: bool = False) -> bytes:
        """Count a message that is sent now; its id. `target` is a user, or with `room` a room."""
        now = perf_counter_ns()
        warmup = intended < self._steady
        flags = WARMUP if warmup else 0
        if room:
            flags |= ROOM
            receipts, route = self._recipients.size(flags, target), self._route(flags, sender, target)
        else:
            receipts, route = 1, self._server_routes[sender % self._servers][target % self._servers]
        number = self.ledger.send(flags, sender, target)
        if self._due_times:
            self._keep_due(flags, sender, target, intended)
        self.expected += receipts
        self._recorder.record_sent(route, warmup, receipts)
        return encode_message_id(flags, sender, target, number, intended, now)

    def register_presence(self, sender: int, intended: int) -> bytes:
        """Count a presence that is sent now, expected on each route to the sender's contacts; its id."""
        now = perf_counter_ns()
        flags = PRESENCE | (WARMUP if intended < self._steady else 0)
        number = self.ledger.send(flags, sender, sender)
        if self._due_times:
            self._keep_due(flags, sender, sender, intended)
        if sender not in self._presence_routes:
            receivers = self._recipients.receivers(flags, sender)
            self._presence_routes[sender] = Counter(self._route(flags, sender, receiver) for receiver in receivers)
        for route, receipts in self._presence_routes[sender].items():
            self.expected += receipts
            self._recorder.expect(route, bool(flags & WARMUP), receipts)
        return encode_message_id(flags, sender, sender, number, intended, now)

    def on_delivery(self, receiver: int, identity: str) -> MessageId | None:
        """A user received a message or presence; the fields of its id if it is new and of this load."""
        fields = decode_message_id(identity)
        if fields is None:
            return None
        flags, sender, target, number, intended, actual = fields
        if flags & DELIVERY_REPORT:
            return fields if sender == receiver else None
        if intended < self._start:
            return None
        if flags & _SEVERAL_RECEIVERS:
            if not self._is_for(receiver, flags, sender):
                return None
            who, route = receiver, self._route(flags, sender, receiver)
        elif target == receiver:  # most messages, so without a call
            who, route = None, self._server_routes[sender % self._servers][receiver % self._servers]
        else:
            return None
        now, warmup = perf_counter_ns(), flags & WARMUP != 0
        what = self.ledger.receive(flags, sender, target, number, who)
        if what == ledger.DUPLICATE:
            if not flags & PRESENCE:
                self._recorder.record_duplicate(route, warmup)
            return None
        if not self.ledger.bounced or not self.ledger.has_bounced(flags, sender, target, number, who):
            self.delivered += 1
        self._recorder.record_received(route, warmup, (now - intended) // 1000, (now - actual) // 1000)
        if what == ledger.LATE:
            self._recorder.record_out_of_order(route, warmup)
        return fields

    def on_bounce(self, sender: int, identity: str, condition: str, by: int | None = None) -> MessageId | None:
        """A message came back to its sender as an error; the fields of its id if that was not known.

        For a presence `by` is the contact from whom the error comes.
        """
        fields = decode_message_id(identity)
        if fields is None or fields[1] != sender or fields[4] < self._start:
            return None
        flags, _, target, number, _, _ = fields
        if flags & PRESENCE and (by is None or by not in self._recipients.subscribers[sender]):
            return None
        if not self.ledger.bounce(flags & _PAIR, sender, target, number, by if flags & PRESENCE else None):
            return None
        receivers = [by] if by is not None and flags & PRESENCE else [*self._recipients.receivers(flags, target)]
        delivered = sum(
            self.ledger.has_received(flags, sender, target, number, who if flags & _SEVERAL_RECEIVERS else None)
            for who in receivers
        )
        self.bounced += len(receivers) - delivered
        route = self._route(flags, sender, receivers[0] if receivers else sender)
        self._recorder.record_bounced(route, bool(flags & WARMUP), condition, len(receivers))
        return fields

    def _keep_due(self, flags: int, sender: int, target: int, intended: int) -> None:
        self.ledger.keep_due(flags, sender, target, max(0, intended - self._start) * ledger.TENTHS // 1_000_000_000)

    def _is_for(self, receiver: int, flags: int, sender: int) -> bool:
        """Whether a user should receive it. A server sends a room's messages to its occupants only."""
        told = self._recipients.subscribers
        return not flags & PRESENCE or (sender < len(told) and receiver in told[sender])

    @property
    def outstanding(self) -> int:
        """Receipts that are still expected, if all receivers are users of this worker."""
        return self.expected - self.delivered - self.bounced
