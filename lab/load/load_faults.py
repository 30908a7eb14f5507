"""The declared faults of a load: their times count from the start of the steady state, and all are healed at its end.

What they do is written into the load's folder as it happens: `faults.jsonl`, a line for each time that one is applied
or healed, with the fields of `FaultEvent`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.lifecycle.faults import FaultSession
from lab.lifecycle.lab import Lab
from lab.network.fault_engine import FaultEvent
from lab.runner.folders import write
from lab.topology.faults import check_all
from lab.topology.spec import FaultSpec

FAULTS = "faults.jsonl"


class LoadFaults:
    """For the length of an `async with` block around a load; `on_event` takes the events of its coordinator."""

    def __init__(self, lab: Lab, specs: Sequence[FaultSpec], folder: Path) -> None:
        """Raises UserError for what the lab's topology cannot have."""
        check_all(specs, lab.plan.topology)
        self._specs, self._path = specs, folder / FAULTS
        self._session = FaultSession(lab, self._record)
        self._acting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._specs:
            write(self._path, "")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._acting is not None:
                if kind is not None:
                    self._acting.cancel()
                    await asyncio.wait([self._acting])
                else:
                    await self._acting
        finally:
            await self._session.close()

    def on_event(self, event: Mapping[str, Any]) -> None:
        """When the load starts, the faults are started with its steady state."""
        if event["event"] == "started" and self._specs and self._acting is None:
            begin = event["at"] + event["warmup"]
            self._acting = asyncio.create_task(self._act(begin, begin + event["seconds"]))

    async def _act(self, begin: float, end: float) -> None:
        await self._session.start(self._specs, begin)
        await asyncio.sleep(max(0.0, end - time.time()))
        await self._session.close()

    def _record(self, event: FaultEvent) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(event)) + "\n")
