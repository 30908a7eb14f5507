"""Runs a load on a null server and gathers what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from lab.load.metrics.result import Result, merge
from lab.load.model.spec import Load, Shard
from lab.load.worker import engine

ALONE = Shard()

SHIPPED = engine.DRAIN_TIMEOUT
#: Seconds of a drain at most, in place of SHIPPED: it ends once all is received, also on a machine that stands still.
GUARD = 120.0


@dataclass
class Told:
    """The events of one or several workers."""

    events: list[dict[str, Any]] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if event["event"] == "started":
            self.started.set()

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    @property
    def ended(self) -> dict[str, Any]:
        (event,) = self.of("ended")
        return event

    @property
    def result(self) -> Result:
        return merge(self.of("sample"))


async def driven(
    load: Load,
    meanwhile: Callable[[], Awaitable[None]] | None = None,
    shard: Shard = ALONE,
    *,
    missing: int | None = None,
    **more: Any,
) -> Told:
    """Carry a load out in this process. `meanwhile` runs from its start on.

    Where so many receipts are `missing` for ever, the drain ends once all others are there, instead of after a time.
    """
    told = Told()

    async def aside() -> None:
        await told.started.wait()
        if meanwhile is not None:
            await meanwhile()

    timeout = GUARD if engine.DRAIN_TIMEOUT == SHIPPED else engine.DRAIN_TIMEOUT  # a test has chosen another
    with mock.patch.object(engine, "DRAIN_TIMEOUT", timeout):
        beside = [asyncio.create_task(aside())]
        if missing is not None:
            beside.append(asyncio.create_task(_end_drain(load, told, missing)))
        try:
            await engine.run(load, shard, told, **more)
            await asyncio.gather(*beside)
        finally:
            for one in beside:
                one.cancel()
    return told


async def until(condition: Callable[[], object], within: float = 60.0) -> None:
    """Return once the condition holds; fails after `within` seconds."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.01)


async def _end_drain(load: Load, told: Told, missing: int) -> None:
    end = load.warmup + load.seconds
    while not told.of("ended"):
        last = told.of("sample")[-1:]
        if last and last[0]["to"] > end:
            totals = last[0]["totals"]
            outstanding = totals["expected"] - totals["delivered"] - totals["bounced"] + totals["requests"]
            if outstanding <= missing:
                engine.DRAIN_TIMEOUT = 0.0
        await asyncio.sleep(0.02)
