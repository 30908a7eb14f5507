"""Carries one worker's part of a load, from the first login to the lost messages.

    ramp-up    users log in at a bounded rate, join their rooms and fill their archives
    start      the clock starts, for several workers at the same time
    warm-up, steady state    each tick performs the actions that are due, whatever was answered (open loop);
               in the closed model each of as many tokens as users waits for the delivery, thinks, and goes on
    drain      nothing is sent any more; ends when nothing is outstanding, or after DRAIN_TIMEOUT; after a while users
               who logged out and in do so once more: a server may have stored a message while they logged in
    end        messages that are missing now are lost, each of them; users log out

Events, given to `emit` as JSON-able dicts with "event" and "worker": progress (users online so far), connected,
started, sample (once per second, lab.load.metrics.sample_recorder, with totals), gone (a user who cannot reconnect),
stopping (before its end), ledger (several workers: see lab.load.metrics.ledger), ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter_ns
from typing import Any

from lab.load.client.session import Session
from lab.load.metrics.sample_recorder import SampleRecorder
from lab.load.model.spec import Load, Shard
from lab.load.worker.ramp_up import log_in
from lab.load.worker.users import VirtualUsers
from lab.load.workload.arrivals import Schedule, parse_arrivals
from lab.load.workload.machine_limits import check_machine

Emit = Callable[[dict[str, Any]], None]

SAMPLE_INTERVAL = 1.0  # seconds
#: Seconds of delays that are counted at once: counting those of a second takes milliseconds, and delays messages.
SORT_INTERVAL = 0.1
#: Seconds until missing messages are lost. Servers reconnect a link that was cut only after a back-off time.
DRAIN_TIMEOUT = 15.0
#: Seconds of the drain until users log in once more.
RELOGIN_DELAY = 3.0
#: Seconds between two requests for an acknowledgement (XEP-0198) in a session: users who send little make none.
ACK_INTERVAL = 30.0
POLL = 0.02  # seconds between two looks whether everything was received, during the drain
NS = 1_000_000_000


async def run(
    load: Load,
    shard: Shard,
    emit: Emit,
    *,
    go: Callable[[], Awaitable[int]] | None = None,
    stop: asyncio.Event | None = None,
    drained: asyncio.Event | None = None,
) -> None:
    """Carry a worker's shard of a load.

    `go` is awaited when all users are online and gives the start in ns of `perf_counter_ns`. `stop` ends the load
    early, with a drain and all events. With several workers none knows what the others' users have received: `drained`
    is set once everything was received; without it the drain takes DRAIN_TIMEOUT.

    Raises UserError or MissingError before anybody logs in (see lab.load.workload.machine_limits), PeerError if a user
    cannot log in.
    """
    check_machine(load, shard)
    await LoadEngine(load, shard, emit, stop or asyncio.Event(), drained).run(go)


class LoadEngine:
    """Carries the load; see the module."""

    def __init__(
        self, load: Load, shard: Shard, emit: Emit, stop: asyncio.Event, drained: asyncio.Event | None
    ) -> None:
        self._load, self._shard, self._stop, self._drained = load, shard, stop, drained
        self._emit_event = emit
        self._recorder = SampleRecorder(load, shard, parse_arrivals(load.arrivals).total(load.seconds))
        self._users = VirtualUsers(load, shard, self._recorder, self._on_given_up)
        self._start = self._end = 0  # ns of perf_counter_ns
        self._tick_handle: asyncio.TimerHandle | None = None

    @property
    def sessions(self) -> Mapping[int, Session]:
        """The worker's users by their number."""
        return self._users.sessions

    async def run(self, go: Callable[[], Awaitable[int]] | None) -> None:
        """Carry the load, see the module."""
        background: list[asyncio.Task[None]] = []
        try:
            await self._ramp_up()
            gc.collect()
            gc.freeze()  # the collector need not look again at thousands of sessions that live until the end
            self._emit("connected", users=len(self._users.sessions), at_ns=perf_counter_ns())
            start = await go() if go is not None else perf_counter_ns()
            work = (self._sample_regularly(start), self._sort_regularly(), self._request_acks())
            background = [asyncio.create_task(one) for one in work]
            await self._carry_load(start)
            drained = await self._drain()
            self._report_end(drained)
        finally:
            for task in background:
                task.cancel()
            if self._tick_handle is not None:
                self._tick_handle.cancel()
            gc.unfreeze()
            await self._users.disconnect()

    def _on_given_up(self, user: str, reason: str) -> None:
        self._emit("gone", user=user, reason=reason)

    def _emit(self, event: str, **more: object) -> None:
        self._emit_event({"event": event, "worker": self._shard.index, **more})

    async def _ramp_up(self) -> None:
        """All users log in, join their rooms and fill their archives."""
        sessions = self._users.sessions.values()
        await log_in(sessions, self._load.login_rate, lambda online: self._emit("progress", online=online), self._stop)
        if not self._stop.is_set():
            await self._users.prepare()

    # -- warm-up and steady state

    async def _carry_load(self, start: int) -> None:
        load = self._load
        await sleep_until(start)
        self._start = start
        self._end = start + int((load.warmup + load.seconds) * NS)
        self._users.start(start, start + int(load.warmup * NS))
        self._recorder.start(start / NS)
        self._emit("started", users=len(self._users.sessions))
        arrivals = parse_arrivals(load.arrivals)
        schedule = arrivals.schedule(load.seed, self._shard, load.warmup) if arrivals.open else None
        if self._stop.is_set():  # before anything was sent
            pass
        elif schedule is not None:
            self._tick(schedule, start)
        else:
            self._users.start_closed_loop(arrivals.think)
        left = (self._end - perf_counter_ns()) / NS
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), max(0.0, left))
        if schedule is not None and not self._stop.is_set():
            self._perform(schedule, self._end - 1)  # due since the last tick
        if self._stop.is_set():
            self._recorder.end()
            self._emit("stopping")
        self._stop.set()
        self._users.stop_closed_loop()

    def _tick(self, schedule: Schedule, planned: int) -> None:
        """Perform the actions that are due, then plan the next tick. `planned` is when this one was due."""
        now = perf_counter_ns()
        self._recorder.lag((now - planned) / NS)
        if self._stop.is_set():
            return
        self._perform(schedule, min(now, self._end - 1))
        after, tick = perf_counter_ns(), int(self._load.tick * NS)
        wanted = max(after, self._start + int(min(schedule.next * NS, self._end)))
        planned += tick * max(1, -(-(wanted - planned) // tick))
        if planned < self._end:
            loop = asyncio.get_running_loop()
            self._tick_handle = loop.call_later((planned - after) / NS, self._tick, schedule, planned)

    def _perform(self, schedule: Schedule, until: int) -> None:
        start, perform = self._start, self._users.perform
        for at in schedule.due((until - start) / NS):
            perform(start + round(at * NS))  # rounded: an action that is due when the steady state starts is its first

    async def _sample_regularly(self, start: int) -> None:
        """At whole seconds of the load: a sample that covers parts of two seconds would count for one of them."""
        due = start
        while True:
            due += int(SAMPLE_INTERVAL * NS)
            await asyncio.sleep((due - perf_counter_ns()) / NS)
            self._sample()

    def _sample(self) -> None:
        self._emit("sample", **{**self._recorder.take(), "totals": self._users.build_totals()})

    async def _sort_regularly(self) -> None:
        while True:
            await asyncio.sleep(SORT_INTERVAL)
            self._recorder.sort()

    async def _request_acks(self) -> None:
        while True:
            await asyncio.sleep(ACK_INTERVAL)
            for session in self._users.sessions.values():
                session.request_ack()

    # -- the end

    async def _drain(self) -> bool:
        """Wait until nothing is outstanding; False after DRAIN_TIMEOUT."""
        loop = asyncio.get_running_loop()
        began, on_drain = loop.time(), None
        alone = self._shard.of == 1
        try:
            while loop.time() < began + DRAIN_TIMEOUT:
                if (alone and not self._users.outstanding) or (self._drained is not None and self._drained.is_set()):
                    return True
                if on_drain is None and loop.time() > began + RELOGIN_DELAY:
                    on_drain = asyncio.create_task(self._users.on_drain())
                await asyncio.sleep(POLL)
            return False
        finally:
            if on_drain is not None:
                on_drain.cancel()
                await asyncio.gather(on_drain, return_exceptions=True)

    def _report_end(self, drained: bool) -> None:
        users = self._users
        users.requests.close()
        missing, failures = [], []
        if self._shard.of == 1:
            settlement = users.settle()
            missing, failures = settlement.first_missing(), settlement.failures()
            for warmup in (False, True):
                self._recorder.add(settlement.tallies(warmup=warmup), warmup=warmup)
        else:
            for entry in users.deliveries.ledger.list_entries():
                self._emit("ledger", **entry)
        self._sample()
        self._emit("ended", drained=drained, missing=missing, failures=failures, **users.build_totals())


async def sleep_until(at: int) -> None:
    """Return at a time of `perf_counter_ns`, never before: uvloop's timers have whole milliseconds, rounded."""
    while (left := at - perf_counter_ns()) > 0:  # noqa: ASYNC110 - it waits for a clock
        await asyncio.sleep(left / NS)
