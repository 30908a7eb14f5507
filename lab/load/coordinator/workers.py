"""The worker processes of one coordinator: started together, their events read one by one, commands sent to all.

A worker's end of output is its end. One that ends without "ended" or "failed" was killed, or its lab went down: what it
reported until then counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from lab.errors import LabError, PeerError, decode_error
from lab.load.model.spec import Load, Shard
from lab.load.worker.process import encode
from lab.runtime.protocol import Pipes

Event = dict[str, Any]
StartWorker = Callable[[], Awaitable[Pipes]]

#: ns that a worker's event may be under way at most; another clock would differ by hours or days.
MAX_CLOCK_DIFFERENCE = 60_000_000_000


class WorkerProcess:
    """One worker, as the coordinator sees it."""

    def __init__(self, shard: Shard, pipes: Pipes) -> None:
        self.shard, self.pid = shard, pipes.pid
        self.connected = self.ended = self.gone = False
        self.drained = False  # it ended because nothing was outstanding
        self.error: LabError | None = None
        self.totals: dict[str, int] = {}
        self.sampled_until = 0.0  # seconds of the load that its samples cover
        self.users = 0  # of its own, online
        self._pipes = pipes

    @property
    def name(self) -> str:
        """Its name in results."""
        return f"worker {self.shard.index}"

    def command(self, command: dict[str, Any]) -> None:
        """Send a command; does nothing if the worker is gone."""
        if not self.gone:
            self._pipes.writer.write(json.dumps(command).encode() + b"\n")

    def send_load(self, load: Load) -> None:
        """Send the first line: the load and the worker's shard."""
        self._pipes.writer.write(encode(load, self.shard).encode())

    def stop(self) -> None:
        """Stop the load early; the worker still drains and reports. Without a pid this ends its input, and commands."""
        if self.gone:
            return
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGTERM)
                return
        self._pipes.writer.write_eof()

    async def read_events(self, on_event: OnEvent) -> None:
        """Call `on_event` with each event until the worker ends."""
        reader = self._pipes.reader
        try:
            while line := await reader.readline():
                event = json.loads(line)
                self._update(event)
                on_event(self, event)
        except (ConnectionError, ValueError) as error:  # it was killed while it wrote
            self.error = PeerError(f"{self.name} broke off: {error}")
        self.gone = True
        on_event(self, {"event": "worker-gone"})

    def _update(self, event: Event) -> None:
        kind = event["event"]
        if kind == "connected":
            self.connected, self.users = True, event["users"]
            self._check_clock(event.get("at_ns"))
        elif kind == "sample":
            self.totals, self.sampled_until = event["totals"], event["to"]
        elif kind == "ended":
            self.ended, self.drained = True, event["drained"]
        elif kind == "failed":
            self.error = decode_error(event)

    def _check_clock(self, at: int | None) -> None:
        """Delays are differences of two processes' clocks, which must be the same clock (time_namespaces(7))."""
        if at is not None and not 0 <= time.perf_counter_ns() - at < MAX_CLOCK_DIFFERENCE:
            self.error = PeerError(
                f"{self.name} has another clock than the coordinator: it must run in the same time namespace"
            )

    async def close(self) -> None:
        """Return once the process is gone."""
        await self._pipes.close()


class WorkerPool:
    """All workers of a coordinator. A context manager: once it is left, no worker is left."""

    def __init__(
        self,
        load: Load,
        shards: Sequence[Shard],
        start_worker: StartWorker,
        on_event: Callable[[WorkerProcess, Event], None],
    ) -> None:
        self._load, self._shards, self._start_worker, self._on_event = load, shards, start_worker, on_event
        self.workers: list[WorkerProcess] = []
        self._reading: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> WorkerPool:
        """Start the workers concurrently, and send each its shard."""
        started = await asyncio.gather(*(self._start_worker() for _ in self._shards), return_exceptions=True)
        for shard, pipes in zip(self._shards, started, strict=True):
            if isinstance(pipes, Pipes):
                self.workers.append(WorkerProcess(shard, pipes))
        wrong = next((one for one in started if isinstance(one, BaseException)), None)
        if wrong is not None:
            await self.__aexit__()
            raise wrong
        for worker in self.workers:
            worker.send_load(self._load)
            self._reading.append(asyncio.create_task(worker.read_events(self._on_event)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(worker.close() for worker in self.workers))
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)

    def command(self, command: dict[str, Any]) -> None:
        """Send a command to all workers."""
        for worker in self.workers:
            worker.command(command)

    def stop(self) -> None:
        """Stop the load early."""
        for worker in self.workers:
            worker.stop()

    @property
    def error(self) -> LabError | None:
        """The error of the first worker that failed."""
        return next((worker.error for worker in self.workers if worker.error is not None), None)

    @property
    def all_gone(self) -> bool:
        """Whether all workers have ended."""
        return all(worker.gone for worker in self.workers)

    def all_received(self, until: float) -> bool:
        """Whether every message was received or has bounced, if none is sent after `until` seconds of the load."""
        if any(worker.sampled_until < until for worker in self.workers if not worker.gone):
            return False
        totals = [worker.totals for worker in self.workers]
        return all(totals) and count_outstanding(totals) <= 0


def count_outstanding(totals: Sequence[Mapping[str, int]]) -> int:
    """Receipts and answers that are still expected, from the totals of all workers."""
    return sum(one["expected"] - one["delivered"] - one["bounced"] + one["requests"] for one in totals)


#: Called with each event and the worker that sent it; "worker-gone" when its output has ended.
OnEvent = Callable[[WorkerProcess, Event], None]
