"""Runs a load on a null server and gathers what it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from lab.load.metrics.result import Result, merge
from lab.load.model.spec import Load, Shard
from lab.load.worker.engine import run

ALONE = Shard()


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
    load: Load, meanwhile: Callable[[], Awaitable[None]] | None = None, shard: Shard = ALONE, **more: Any
) -> Told:
    """Carry a load out in this process; `meanwhile` runs from its start on."""
    told = Told()

    async def aside() -> None:
        await told.started.wait()
        if meanwhile is not None:
            await meanwhile()

    beside = asyncio.create_task(aside())
    try:
        await run(load, shard, told, **more)
        await beside
    finally:
        beside.cancel()
    return told
