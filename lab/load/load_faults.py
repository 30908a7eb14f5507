"""The declared faults of a load: their times count from the start of the steady state, and all are healed at its end.

What they do is written into the load's folder as it happens: `faults.jsonl`, a line for each time that one is applied
or healed, with the fields of `FaultEvent`. `finish` adds what follows from it to result.json, the report and the page.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.declarations.fault import FaultTarget
from lab.lifecycle.faults import FaultSession, refuse_packet_loss
from lab.lifecycle.lab import Lab
from lab.load.analysis.recovery import collect_seconds, measure_faults
from lab.load.metrics.fault_record import FaultRecord
from lab.load.metrics.run_folder import RESULT, SAMPLES, add_faults, read
from lab.load.report.text import render
from lab.network.fault_engine import FaultEvent
from lab.plan.fault_schedule import declaration
from lab.runner.folders import PAGE, REPORT, write
from lab.topology.fault_targets import find_targets
from lab.topology.faults import check_all
from lab.topology.spec import FaultSpec, Topology

FAULTS = "faults.jsonl"


class LoadFaults:
    """For the length of an `async with` block around a load; `on_event` takes the events of its coordinator."""

    def __init__(self, lab: Lab, specs: Sequence[FaultSpec], folder: Path) -> None:
        """Raises UserError for what the lab's topology cannot have."""
        check_all(specs, lab.plan.topology)
        refuse_packet_loss(specs, lab.runtime.name)
        self._specs, self._folder, self._path = specs, folder, folder / FAULTS
        self._cut = {one.name: find_cut_links(one, lab.plan.topology) for one in specs}
        self._events: list[FaultEvent] = []
        self._start: float | None = None  # of the warm-up, in seconds since the epoch
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
            self._start = event["at"]
            begin = event["at"] + event["warmup"]
            self._acting = asyncio.create_task(self._act(begin, begin + event["seconds"]))

    async def _act(self, begin: float, end: float) -> None:
        await self._session.start(self._specs, begin)
        await asyncio.sleep(max(0.0, end - time.time()))
        await self._session.close()

    def finish(self) -> None:
        """Add the figures of the faults to the folder of the load, which has ended, and all of them are healed."""
        if not self._specs or self._start is None or not (self._folder / RESULT).is_file():
            return
        result = read(self._folder).result
        if not result.plan:
            return
        lines = (self._folder / SAMPLES).read_text(encoding="utf-8").splitlines()
        samples = [json.loads(line) for line in lines if line.startswith('{"event":"sample"')]
        records = collect_records(self._events, self._start, self._cut)
        add_faults(self._folder, measure_faults(records, result, collect_seconds(samples)))
        write(self._folder / REPORT, render(read(self._folder)))
        if (self._folder / PAGE).is_file():
            from lab.load.report.html.load_page import write_page

            write_page(self._folder)

    def _record(self, event: FaultEvent) -> None:
        self._events.append(event)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(event)) + "\n")


def find_cut_links(spec: FaultSpec, topology: Topology) -> list[tuple[str, str]]:
    """The links between the groups of a partition, whose events name servers only; [] of other faults."""
    if declaration(spec).target is not FaultTarget.GROUPS:
        return []
    return [(a, b) for a, b in find_targets(spec, topology)]


def collect_records(
    events: Iterable[FaultEvent], start: float, cut: Mapping[str, Sequence[tuple[str, str]]]
) -> list[FaultRecord]:
    """A record of each time that a fault acted, without figures; the warm-up began at `start` (s since the epoch).

    `cut` has the links of partitions, by the name of the fault.
    """
    found: dict[tuple[str, int], FaultRecord] = {}
    for event in events:
        key = event.name, event.occurrence
        if event.phase == "apply":
            links = str(event.fields.get("links", ""))
            found[key] = FaultRecord(
                event.name, event.action, event.occurrence, event.servers,
                tuple(cut.get(event.name) or ((a, b) for a, b in (one.split() for one in links.split(" | ") if one))),
                event.began - start, None, event.error,
            )  # fmt: skip
        elif key in found:
            found[key] = replace(found[key], healed=event.at - start, error=found[key].error or event.error)
    return list(found.values())
