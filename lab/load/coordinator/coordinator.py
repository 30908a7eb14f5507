"""Conducting a load: workers start together, are told when all has come, and their samples become one result.

    gather     the workers start, everybody logs in
    go         one moment of CLOCK_MONOTONIC, a little ahead, for all of them
    watch      servers, generators and links are metered (lab.load.metrics.resources)
    drain      when the workers' users together have what was written, all are told; else each waits its time
    settle     several workers' ledgers are put together: what nobody got is lost, message by message

Rules: whatever ends a load early (an order, a signal, a worker or a lab that is gone) ends it with a result of what was
measured until then, and says why. Events are those of docs/load-coordinator.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from lab.errors import PeerError
from lab.load.coordinator.workers import Crew, Event, Start, Worker
from lab.load.metrics.resources import ResourceSampler
from lab.load.metrics.result import Result, merge
from lab.load.metrics.run_folder import LoadOutcome
from lab.load.model.job import LOAD_FIELDS
from lab.load.model.spec import Load, Shard
from lab.load.worker.engine import DRAIN_TIMEOUT
from lab.load.worker.settlement import MAX_MISSING, settle_into
from lab.load.workload.arrivals import parse as parse_arrivals

Tell = Callable[[Event], None]

#: Seconds from the order to go until time 0, and for each worker: an order must have come by then.
LEAD, LEAD_EACH = 0.2, 0.01
#: Seconds after the last moment at which something was written: later samples hold all of it.
BEHIND = 0.1
#: Seconds until all workers have heard that they are to stop.
HEARD = 0.5
POLL = 0.05  # seconds between two looks at what there is no event for
#: Seconds beyond their longest drain until workers that have not ended are given up.
GRACE = 15.0
#: Seconds that workers may take to log everybody out when nothing was started.
LEAVING = 15.0


class Orders:
    """What a conductor is told while it is at it."""

    def __init__(self, hold: bool = False) -> None:
        self.stopped, self.drained = asyncio.Event(), asyncio.Event()
        self.why = ""  # it was stopped
        self.go: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        if not hold:
            self.go.set_result(None)

    def stop(self, why: str) -> None:
        """End early; the first reason counts."""
        self.why = self.why or why
        self.stopped.set()


class Conductor:
    """Of one load; `watch` is asked for the pids of the workers once they are there."""

    def __init__(
        self,
        load: Load,
        shards: Sequence[Shard],
        start: Start,
        tell: Tell,
        orders: Orders,
        watch: Callable[[Crew], Awaitable[ResourceSampler]],
    ) -> None:
        self._load, self._shards, self._start_worker, self._tell = load, shards, start, tell
        self._orders, self._make_watch = orders, watch
        self._alone = len(shards) == shards[0].of  # nobody else has workers of this load
        self._samples: list[Event] = []
        self._entries: list[Event] = []
        self._missing: list[Mapping[str, Any]] = []
        self._online: dict[int, int] = {}
        self._gone: list[tuple[str, str]] = []
        self._news = asyncio.Event()

    async def run(self) -> LoadOutcome:
        """All of it. Raises what a worker failed with before the start; PeerError if it died without a word."""
        async with Crew(self._load, self._shards, self._start_worker, self._take) as crew:
            if not await self._gathered(crew):
                return await self._nothing(crew)
            watch = await self._make_watch(crew)
            start = self._go(crew)
            watching = asyncio.create_task(watch.run(start, self._load.warmup, self._load.seconds, self._tell))
            try:
                await self._carried(crew, start)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            return self._outcome(crew, watch)

    # -- what workers tell

    def _take(self, worker: Worker, event: Event) -> None:
        kind = event["event"]
        if kind == "sample":
            self._samples.append({name: value for name, value in event.items() if name != "totals"})
            self._tell(event)
        elif kind == "progress":
            self._online[worker.shard.index] = event["online"]
            self._tell({"event": "progress", "online": sum(self._online.values()), "users": self._load.users})
        elif kind == "gone":
            self._gone.append((event["user"], event["reason"]))
            self._tell(event)
        elif kind == "ledger":
            self._entries.append({name: event[name] for name in event if name not in ("event", "worker")})
            if not self._alone:
                self._tell(event)
        elif kind == "stopping":  # if that was not us, all have to: others still write to its users
            self._orders.stop(f"{worker.name} was stopped")
        elif kind == "ended":
            self._missing += event["missing"]
        self._news.set()

    async def _look(self) -> None:
        """Return at the next news, or after a moment."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), POLL)

    # -- the course of it

    async def _gathered(self, crew: Crew) -> bool:
        """Everybody is online; False if it was stopped before. Raises what a worker failed with."""
        orders, connected = self._orders, False
        while not orders.stopped.is_set():
            if crew.error is not None:
                raise crew.error
            if dead := [worker.name for worker in crew.workers if worker.gone]:
                raise PeerError(f"{', '.join(dead)} ended without a word before the start")
            if not connected and all(worker.connected for worker in crew.workers):
                connected = True
                self._tell({"event": "connected", "users": sum(worker.users for worker in crew.workers)})
            if connected and orders.go.done():
                return True
            await self._look()
        return False

    async def _nothing(self, crew: Crew) -> LoadOutcome:
        """It was stopped while people logged in: they log out."""
        crew.stop()
        crew.order({"drained": True})
        deadline = time.monotonic() + LEAVING
        while not crew.all_gone and time.monotonic() < deadline:
            await self._look()
        return LoadOutcome(Result(), self._orders.why)

    def _go(self, crew: Crew) -> float:
        """Order the start; its time on `time.perf_counter`."""
        asked, lead = self._orders.go.result(), LEAD + LEAD_EACH * len(crew.workers)
        now = time.perf_counter_ns()
        at = now + int(lead * 1e9) if asked is None else asked
        crew.order({"go_ns": at})
        load = self._load
        given = {name: getattr(load, name) for name in LOAD_FIELDS} | {"arrivals": parse_arrivals(load.arrivals).shown}
        epoch = time.time() + (at - now) / 1e9
        self._tell({"event": "started", "at": epoch, "seconds": load.seconds, "warmup": load.warmup, "load": given})
        return at / 1e9

    async def _carried(self, crew: Crew, start: float) -> None:
        """Returns once all workers have ended, or are given up."""
        orders, told, stopping = self._orders, False, False
        end = self._load.warmup + self._load.seconds  # of what is written, in seconds of the load
        deadline = start + end + DRAIN_TIMEOUT + GRACE
        while not crew.all_gone:
            await self._look()
            if dead := [worker for worker in crew.workers if worker.gone and not worker.ended]:
                orders.stop(f"{dead[0].name} ended early: {dead[0].error or 'without a word'}")
            if orders.stopped.is_set() and not stopping:
                stopping, end = True, time.perf_counter() - start + HEARD
                deadline = min(deadline, time.perf_counter() + DRAIN_TIMEOUT + GRACE)
                crew.stop()
            if not told and (dead or orders.drained.is_set() or (self._alone and crew.has_come(end + BEHIND))):
                told = True
                crew.order({"drained": True})
            if time.perf_counter() > deadline:
                late = ", ".join(worker.name for worker in crew.workers if not worker.gone)
                orders.stop(f"{late} did not end in time")
                return

    # -- the end of it

    def _outcome(self, crew: Crew, watch: ResourceSampler) -> LoadOutcome:
        result = merge(self._samples)
        result.usage.update(watch.usage("servers"))
        result.links.update(watch.links)
        whole = all(worker.ended for worker in crew.workers)
        if whole and self._alone and len(crew.workers) > 1:
            self._add_lost(result)
        return LoadOutcome(
            result,
            self._orders.why,
            drained=whole and all(worker.drained for worker in crew.workers),
            settled=whole and self._alone,
            whole=whole,
            missing=self._missing[:MAX_MISSING],
            gone=self._gone,
            generators=watch.usage("generators"),
        )

    def _add_lost(self, result: Result) -> None:
        """What no worker's user got is counted, and told: no sample has it."""
        routes, missing = settle_into(result, self._load, self._entries)
        self._missing += missing
        self._tell({"event": "lost", "routes": routes, "missing": self._missing})
