"""One worker's load, from the first login to what is lost.

    connect    users log in at a bounded rate; rooms are joined
    start      the clock starts, for several workers at the same moment
    warm-up, steady state    each tick looks at what is due and does it, whatever has come back (open loop);
               in the closed model each of as many tokens as users waits for the delivery, thinks, and goes on
    drain      nothing is written any more; ends when nothing is outstanding, or at its deadline; after a while who went
               and came does so once more: a server may have put a message away while they logged in, for next time
    end        what is missing now is lost, message by message; users log out

Events, given to `emit` as JSON-able dicts with "event" and "worker": progress (users online so far), connected,
started, sample (a `Recorder.take()` a second, with totals), gone (a user who cannot return), stopping (before its end),
ledger (several workers: see lab.load.metrics.ledger), ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter_ns
from typing import Any

from lab.load.client.session import Session
from lab.load.model.spec import Load, Shard
from lab.load.worker.coming import all_online
from lab.load.worker.recorder import Recorder
from lab.load.worker.settlement import TOLD as TOLD
from lab.load.worker.users import Acts
from lab.load.workload.arrivals import Schedule, parse
from lab.load.workload.machine_limits import check_machine

Emit = Callable[[dict[str, Any]], None]

SAMPLE = 1.0  # seconds
SORT = 0.1  # seconds of delays that are counted in one go: a second's would hold messages up for milliseconds
#: Seconds until what has not come is lost. A link that was cut needs its servers' back-off to come back.
DRAIN = 15.0
#: Seconds of it until people log in once more.
COLLECT = 3.0
#: Seconds between two questions to each server for what it has, where traffic is too thin to ask by count.
ASK = 30.0
POLL = 0.02  # seconds between two looks whether all has come, while draining
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
    early, with a drain and all events. With several workers none knows what the others' users have got: `drained` says
    that all has come, and without it the drain takes DRAIN seconds.

    Raises UserError or MissingError before anybody logs in (see lab.load.workload.machine_limits), PeerError if a user
    cannot log in.
    """
    check_machine(load, shard)
    await Engine(load, shard, emit, stop or asyncio.Event(), drained).run(go)


class Engine:
    """See the module."""

    def __init__(
        self, load: Load, shard: Shard, emit: Emit, stop: asyncio.Event, drained: asyncio.Event | None
    ) -> None:
        self._load, self._shard, self._stop, self._drained = load, shard, stop, drained
        self._tell = emit
        self._recorder = Recorder(load, shard)
        self._acts = Acts(load, shard, self._recorder, lambda who, why: self._emit("gone", user=who, reason=why))
        self._start = self._end = 0
        self._tick_handle: asyncio.TimerHandle | None = None

    @property
    def sessions(self) -> Mapping[int, Session]:
        """The worker's users by their number."""
        return self._acts.sessions

    async def run(self, go: Callable[[], Awaitable[int]] | None) -> None:
        """All of it."""
        keepers: list[asyncio.Task[None]] = []
        try:
            await self._come()
            gc.collect()
            gc.freeze()  # thousands of sessions that live to the end: no collection need look at them again
            self._emit("connected", users=len(self._acts.sessions), at_ns=perf_counter_ns())
            start = await go() if go is not None else perf_counter_ns()
            keepers = [asyncio.create_task(one) for one in (self._sampling(start), self._sorting(), self._asking())]
            await self._carry(start)
            drained = await self._drain()
            self._settle(drained)
        finally:
            for keeper in keepers:
                keeper.cancel()
            if self._tick_handle is not None:
                self._tick_handle.cancel()
            gc.unfreeze()
            await self._acts.leave()

    def _emit(self, event: str, **more: object) -> None:
        self._tell({"event": event, "worker": self._shard.index, **more})

    async def _come(self) -> None:
        """Everybody logs in, then enters their room."""
        sessions = self._acts.sessions.values()
        await all_online(
            sessions, self._load.login_rate, lambda online: self._emit("progress", online=online), self._stop
        )
        if not self._stop.is_set():
            await self._acts.enter()

    # -- warm-up and steady state

    async def _carry(self, start: int) -> None:
        load = self._load
        await until(start)
        self._start = start
        self._end = start + int((load.warmup + load.seconds) * NS)
        self._acts.start(start, start + int(load.warmup * NS))
        self._recorder.start(start / NS)
        self._emit("started", users=len(self._acts.sessions))
        arrivals = parse(load.arrivals)
        schedule = arrivals.schedule(load.seed, self._shard, load.warmup) if arrivals.open else None
        if self._stop.is_set():  # before anything was written
            pass
        elif schedule is not None:
            self._look(schedule, start)
        else:
            self._acts.begin_turns(arrivals.think)
        left = (self._end - perf_counter_ns()) / NS
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), max(0.0, left))
        if schedule is not None and not self._stop.is_set():
            self._perform(schedule, self._end - 1)  # due since the last tick
        if self._stop.is_set():
            self._recorder.end()
            self._emit("stopping")
        self._stop.set()
        self._acts.stop_turns()

    def _look(self, schedule: Schedule, planned: int) -> None:
        """A tick: do what has come due, then plan the next look."""
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
            self._tick_handle = loop.call_later((planned - after) / NS, self._look, schedule, planned)

    def _perform(self, schedule: Schedule, until: int) -> None:
        start, perform = self._start, self._acts.perform
        for at in schedule.due((until - start) / NS):
            perform(start + round(at * NS))  # not down: what is due when the steady state begins is its first

    async def _sampling(self, start: int) -> None:
        """At whole seconds of the load: a sample that lay across two of them would count as all of one."""
        due = start
        while True:
            due += int(SAMPLE * NS)
            await asyncio.sleep((due - perf_counter_ns()) / NS)
            self._sample()

    def _sample(self) -> None:
        self._emit("sample", **{**self._recorder.take(), "totals": self._acts.totals()})

    async def _sorting(self) -> None:
        while True:
            await asyncio.sleep(SORT)
            self._recorder.sort()

    async def _asking(self) -> None:
        while True:
            await asyncio.sleep(ASK)
            for session in self._acts.sessions.values():
                session.request_ack()

    # -- the end

    async def _drain(self) -> bool:
        """Wait until nothing is outstanding; False at the deadline."""
        loop = asyncio.get_running_loop()
        began, collecting = loop.time(), None
        alone = self._shard.of == 1
        try:
            while loop.time() < began + DRAIN:
                if (alone and not self._acts.outstanding) or (self._drained is not None and self._drained.is_set()):
                    return True
                if collecting is None and loop.time() > began + COLLECT:
                    collecting = asyncio.create_task(self._acts.collect())
                await asyncio.sleep(POLL)
            return False
        finally:
            if collecting is not None:
                collecting.cancel()
                await asyncio.gather(collecting, return_exceptions=True)

    def _settle(self, drained: bool) -> None:
        acts = self._acts
        acts.requests.close()
        missing = []
        if self._shard.of == 1:
            settlement = acts.settlement()
            missing = settlement.told()
            for warmup in (False, True):
                self._recorder.add(settlement.tallies(warmup=warmup), warmup=warmup)
        else:
            for entry in acts.deliveries.ledger.entries():
                self._emit("ledger", **entry)
        self._sample()
        self._emit("ended", drained=drained, missing=missing, **acts.totals())


async def until(moment: int) -> None:
    """Return at a time of `perf_counter_ns`, never before: uvloop's timers have whole milliseconds, rounded."""
    while (left := moment - perf_counter_ns()) > 0:  # noqa: ASYNC110 - it waits for a clock
        await asyncio.sleep(left / NS)
