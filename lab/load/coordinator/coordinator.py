"""Coordinates the workers of a load: they start together, drain together, and their samples become one result.

    ramp-up    the workers start, all users log in
    start      all workers get the same time of CLOCK_MONOTONIC, a little ahead
    sampling   resources of servers, generators and links are sampled (lab.load.metrics.resources)
    drain      once all workers' users together have received everything, all are told; else each waits DRAIN_TIMEOUT
    end        the ledgers of several workers are merged: messages that no user received are lost, each of them

Whatever ends a load early (a command, a signal, a worker or a lab that is gone) ends it with a result of what was
measured until then, which says why. Events are those of docs/load-coordinator.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from lab.errors import PeerError
from lab.load.coordinator.workers import Event, StartWorker, WorkerPool, WorkerProcess
from lab.load.metrics.resources import ResourceSampler
from lab.load.metrics.result import Failures, Result, merge
from lab.load.metrics.run_folder import LoadOutcome
from lab.load.model.job import LOAD_FIELDS
from lab.load.model.spec import Load, Shard
from lab.load.worker.engine import DRAIN_TIMEOUT
from lab.load.worker.settlement import MAX_MISSING, settle_into
from lab.load.workload.arrivals import parse_arrivals

Emit = Callable[[Event], None]

#: Seconds from the start command until time 0, and more for each worker: all must have received the command by then.
START_DELAY, START_DELAY_EACH = 0.2, 0.01
#: Seconds after the last message was sent: later samples hold all messages.
SAMPLE_DELAY = 0.1
#: Seconds until all workers have received the command to stop.
STOP_DELAY = 0.5
POLL = 0.05  # seconds between two looks at conditions that have no event
#: Seconds beyond the longest drain until workers that have not ended are given up.
END_TIMEOUT = 15.0
#: Seconds that workers may take to log all users out when the load did not start.
LOGOUT_TIMEOUT = 15.0


class CoordinatorCommands:
    """The commands that a coordinator has received. With `hold` the load waits for the start command."""

    def __init__(self, hold: bool = False) -> None:
        self.stopped, self.drained = asyncio.Event(), asyncio.Event()
        self.reason = ""  # why it was stopped
        #: The start in ns of `perf_counter_ns`, None for as soon as possible.
        self.start: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        if not hold:
            self.start.set_result(None)

    def stop(self, reason: str) -> None:
        """Stop the load early; the first reason counts."""
        self.reason = self.reason or reason
        self.stopped.set()


class Coordinator:
    """Coordinates one load. `make_sampler` is called with the workers once all users are online."""

    def __init__(
        self,
        load: Load,
        shards: Sequence[Shard],
        start_worker: StartWorker,
        emit: Emit,
        commands: CoordinatorCommands,
        make_sampler: Callable[[WorkerPool], Awaitable[ResourceSampler]],
    ) -> None:
        self._load, self._shards, self._start_worker, self._emit = load, shards, start_worker, emit
        self._commands, self._make_sampler = commands, make_sampler
        self._complete = len(shards) == shards[0].of  # no other coordinator has workers of this load
        self._samples: list[Event] = []
        self._ledgers: list[Event] = []
        self._missing: list[Mapping[str, Any]] = []
        self._failures: list[Failures] = []
        self._online: dict[int, int] = {}  # by worker
        self._gone: list[tuple[str, str]] = []
        self._changed = asyncio.Event()

    async def run(self) -> LoadOutcome:
        """Carry the load. Raises the error of a worker that failed before the start; PeerError if one just ended."""
        async with WorkerPool(self._load, self._shards, self._start_worker, self._on_event) as pool:
            if not await self._wait_until_connected(pool):
                return await self._end_before_start(pool)
            sampler = await self._make_sampler(pool)
            start = self._start(pool)
            sampling = asyncio.create_task(sampler.run(start, self._load.warmup, self._load.seconds, self._emit))
            try:
                await self._wait_until_ended(pool, start)
            finally:
                sampling.cancel()
                await asyncio.gather(sampling, return_exceptions=True)
            return self._outcome(pool, sampler)

    # -- events of workers

    def _on_event(self, worker: WorkerProcess, event: Event) -> None:
        kind = event["event"]
        if kind == "sample":
            self._samples.append({name: value for name, value in event.items() if name != "totals"})
            self._emit(event)
        elif kind == "progress":
            self._online[worker.shard.index] = event["online"]
            self._emit({"event": "progress", "online": sum(self._online.values()), "users": self._load.users})
        elif kind == "gone":
            self._gone.append((event["user"], event["reason"]))
            self._emit(event)
        elif kind == "ledger":
            self._ledgers.append({name: event[name] for name in event if name not in ("event", "worker")})
            if not self._complete:
                self._emit(event)
        elif kind == "stopping":  # unless this coordinator stopped it, all must stop: others still write to its users
            self._commands.stop(f"{worker.name} was stopped")
        elif kind == "ended":
            self._missing += event["missing"]
            self._failures += [Failures(*one) for one in event.get("failures", [])]
        self._changed.set()

    async def _wait(self) -> None:
        """Return at the next event, or after POLL."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), POLL)

    # -- phases

    async def _wait_until_connected(self, pool: WorkerPool) -> bool:
        """Wait until all users are online; False if the load is stopped before. Raises the error of a worker."""
        commands, connected = self._commands, False
        while not commands.stopped.is_set():
            if pool.error is not None:
                raise pool.error
            if dead := [worker.name for worker in pool.workers if worker.gone]:
                raise PeerError(f"{', '.join(dead)} ended before the start and reported no error")
            if not connected and all(worker.connected for worker in pool.workers):
                connected = True
                self._emit({"event": "connected", "users": sum(worker.users for worker in pool.workers)})
            if connected and commands.start.done():
                return True
            await self._wait()
        return False

    async def _end_before_start(self, pool: WorkerPool) -> LoadOutcome:
        """The load was stopped while users logged in: they log out."""
        pool.stop()
        pool.command({"drained": True})
        deadline = time.monotonic() + LOGOUT_TIMEOUT
        while not pool.all_gone and time.monotonic() < deadline:
            await self._wait()
        return LoadOutcome(Result(), self._commands.reason)

    def _start(self, pool: WorkerPool) -> float:
        """Send the start command; the start in seconds of `time.perf_counter`."""
        given, delay = self._commands.start.result(), START_DELAY + START_DELAY_EACH * len(pool.workers)
        now = time.perf_counter_ns()
        at = now + int(delay * 1e9) if given is None else given
        pool.command({"go_ns": at})
        load = self._load
        fields = {name: getattr(load, name) for name in LOAD_FIELDS} | {"arrivals": parse_arrivals(load.arrivals).shown}
        epoch = time.time() + (at - now) / 1e9
        self._emit({"event": "started", "at": epoch, "seconds": load.seconds, "warmup": load.warmup, "load": fields})
        return at / 1e9

    async def _wait_until_ended(self, pool: WorkerPool, start: float) -> None:
        """Return once all workers have ended, or are given up."""
        commands, drained, stopping = self._commands, False, False
        end = self._load.warmup + self._load.seconds  # of sending, in seconds of the load
        deadline = start + end + DRAIN_TIMEOUT + END_TIMEOUT
        while not pool.all_gone:
            await self._wait()
            if dead := [worker for worker in pool.workers if worker.gone and not worker.ended]:
                commands.stop(f"{dead[0].name} ended early: {dead[0].error or 'it reported no error'}")
            if commands.stopped.is_set() and not stopping:
                stopping, end = True, time.perf_counter() - start + STOP_DELAY
                deadline = min(deadline, time.perf_counter() + DRAIN_TIMEOUT + END_TIMEOUT)
                pool.stop()
            all_received = commands.drained.is_set() or (self._complete and pool.all_received(end + SAMPLE_DELAY))
            if not drained and (dead or all_received):
                drained = True
                pool.command({"drained": True})
            if time.perf_counter() > deadline:
                late = ", ".join(worker.name for worker in pool.workers if not worker.gone)
                commands.stop(f"{late} did not end in time")
                return

    # -- the result

    def _outcome(self, pool: WorkerPool, sampler: ResourceSampler) -> LoadOutcome:
        result = merge(self._samples)
        result.failures += self._failures
        result.usage.update(sampler.usage("servers"))
        result.links.update(sampler.links)
        whole = all(worker.ended for worker in pool.workers)
        if whole and self._complete and len(pool.workers) > 1:
            self._add_lost(result)
        return LoadOutcome(
            result,
            self._commands.reason,
            drained=whole and all(worker.drained for worker in pool.workers),
            settled=whole and self._complete,
            whole=whole,
            missing=self._missing[:MAX_MISSING],
            gone=self._gone,
            generators=sampler.usage("generators"),
        )

    def _add_lost(self, result: Result) -> None:
        """Count and report the lost messages, which no sample has."""
        routes, missing = settle_into(result, self._load, self._ledgers)
        self._missing += missing
        self._emit({"event": "lost", "routes": routes, "missing": self._missing})
