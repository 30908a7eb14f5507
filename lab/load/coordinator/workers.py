"""The workers of one conductor: started together, heard one by one, told together.

A worker's end of output is its end. One that ends without "ended" or "failed" was killed, or its lab went down: what it
had told until then counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from lab.errors import LabError, PeerError, decode_error
from lab.load.model.spec import Load, Shard
from lab.load.worker.process import encode
from lab.runtime.protocol import Pipes

Event = dict[str, Any]
Start = Callable[[], Awaitable[Pipes]]

#: ns that a worker's word may be on its way at most; another clock would be hours or days apart.
CLOCK_APART = 60_000_000_000


class Worker:
    """One worker, from the conductor's side."""

    def __init__(self, shard: Shard, pipes: Pipes) -> None:
        self.shard, self.pid = shard, pipes.pid
        self.connected = self.ended = self.gone = False
        self.drained = False  # it ended because nothing was outstanding
        self.error: LabError | None = None
        self.totals: dict[str, int] = {}
        self.told_until = 0.0  # seconds of the load that its samples cover
        self.users = 0  # of its own, online
        self._pipes = pipes

    @property
    def name(self) -> str:
        """As results have it."""
        return f"worker {self.shard.index}"

    def order(self, what: dict[str, Any]) -> None:
        """Send an order; one that is gone hears nothing."""
        if not self.gone:
            self._pipes.writer.write(json.dumps(what).encode() + b"\n")

    def begin(self, load: Load) -> None:
        """Send what it is to do."""
        self._pipes.writer.write(encode(load, self.shard).encode())

    def stop(self) -> None:
        """End the load early; it still drains and tells. The end of its input says so too, and then no order can."""
        if self.gone:
            return
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, signal.SIGTERM)
                return
        self._pipes.writer.write_eof()

    async def hear(self, take: Take) -> None:
        """Hand its events over until it ends."""
        reader = self._pipes.reader
        try:
            while line := await reader.readline():
                event = json.loads(line)
                self._note(event)
                take(self, event)
        except (ConnectionError, ValueError) as error:  # it was killed while it wrote
            self.error = PeerError(f"{self.name} broke off: {error}")
        self.gone = True
        take(self, {"event": "worker-gone"})

    def _note(self, event: Event) -> None:
        kind = event["event"]
        if kind == "connected":
            self.connected, self.users = True, event["users"]
            self._check_clock(event.get("at_ns"))
        elif kind == "sample":
            self.totals, self.told_until = event["totals"], event["to"]
        elif kind == "ended":
            self.ended, self.drained = True, event["drained"]
        elif kind == "failed":
            self.error = decode_error(event)

    def _check_clock(self, at: int | None) -> None:
        """Delays are differences of two processes' clocks: it must be one, as it is without a time namespace."""
        if at is not None and not 0 <= time.perf_counter_ns() - at < CLOCK_APART:
            self.error = PeerError(f"{self.name} has another clock than we: it must run in our time namespace")

    async def close(self) -> None:
        """Return once its process is gone."""
        await self._pipes.close()


class Crew:
    """All of them. Use as a context: on leaving no worker is left."""

    def __init__(
        self, load: Load, shards: Sequence[Shard], start: Start, take: Callable[[Worker, Event], None]
    ) -> None:
        self._load, self._shards, self._start, self._take = load, shards, start, take
        self.workers: list[Worker] = []
        self._hearing: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Crew:
        """Start them side by side, and send each its shard."""
        started = await asyncio.gather(*(self._start() for _ in self._shards), return_exceptions=True)
        for shard, pipes in zip(self._shards, started, strict=True):
            if isinstance(pipes, Pipes):
                self.workers.append(Worker(shard, pipes))
        wrong = next((one for one in started if isinstance(one, BaseException)), None)
        if wrong is not None:
            await self.__aexit__()
            raise wrong
        for worker in self.workers:
            worker.begin(self._load)
            self._hearing.append(asyncio.create_task(worker.hear(self._take)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(worker.close() for worker in self.workers))
        for task in self._hearing:
            task.cancel()
        await asyncio.gather(*self._hearing, return_exceptions=True)

    def order(self, what: dict[str, Any]) -> None:
        """Send all of them an order."""
        for worker in self.workers:
            worker.order(what)

    def stop(self) -> None:
        """End the load early."""
        for worker in self.workers:
            worker.stop()

    @property
    def error(self) -> LabError | None:
        """What one of them failed with."""
        return next((worker.error for worker in self.workers if worker.error is not None), None)

    @property
    def all_gone(self) -> bool:
        """Whether all have ended."""
        return all(worker.gone for worker in self.workers)

    def has_come(self, until: float) -> bool:
        """Whether all that was written has come back or come, if nothing was written after `until` seconds."""
        if any(worker.told_until < until for worker in self.workers if not worker.gone):
            return False
        totals = [worker.totals for worker in self.workers]
        if not all(totals):
            return False
        outstanding = sum(one["expected"] - one["delivered"] - one["bounced"] + one["requests"] for one in totals)
        return outstanding <= 0


#: Called with each event and who told it; "worker-gone" when its output has ended.
Take = Callable[[Worker, Event], None]
