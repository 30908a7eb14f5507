"""The data of a load's page, read from its folder: job, result, plan, and the load with its defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.input_files import decode_json
from lab.load.analysis.thresholds import LoadVerdict, judge_load
from lab.load.metrics.run_folder import SAMPLES, LoadRecord, read
from lab.load.workload.arrivals import Arrivals, parse_arrivals
from lab.plan import files
from lab.runner.folders import PLAN
from lab.topology.spec import Topology


@dataclass(frozen=True)
class LoadPageData:
    """A load that has ended. `topology` is None where the folder has no plan: then no graph is drawn."""

    record: LoadRecord
    verdict: LoadVerdict
    topology: Topology | None
    asked: Mapping[str, Any]  # fields of lab.load.model.spec.Load; without defaults if the load was never started
    started_at: float | None  # EPOCH seconds of the warm-up's start; None if it was never started

    @property
    def name(self) -> str:
        """The name of the load, as in the command."""
        return self.record.job.name or str(self.asked.get("traffic", "a load"))

    @property
    def topology_name(self) -> str:
        """The topology's name, or that of the lab."""
        return self.topology.name if self.topology is not None else self.record.job.lab

    @property
    def warmup(self) -> float:
        """Length of the warm-up in seconds."""
        return self.record.warmup

    @property
    def end(self) -> float:
        """Seconds from the start of the warm-up to the end of the steady state."""
        return self.warmup + float(self.record.result.plan.get("seconds", 0.0))

    @property
    def bands(self) -> tuple[tuple[str, float, float], ...]:
        """The name of each fault and the seconds in which it acted, from the start of the warm-up on."""
        return tuple(
            (one.name, one.applied, math.inf if one.healed is None else one.healed) for one in self.record.faults
        )

    def intended(self, start: float, end: float) -> float | None:
        """Messages due between two times in seconds; None where the folder does not show it."""
        model = self.arrivals
        if model is None:
            return None
        warm = max(0.0, min(end, self.warmup) - start) * model.get_rate(0.0)
        steady = [max(0.0, min(at, self.end) - self.warmup) for at in (start, end)]
        return warm + model.count_expected(*steady)

    @property
    def arrivals(self) -> Arrivals | None:
        """The arrivals; None for the closed model, for a replay (its file is elsewhere), and before the start."""
        text = str(self.asked.get("arrivals", ""))
        if not text or text.startswith("replay:"):
            return None
        model = parse_arrivals(text)
        return model if model.open else None


def read_page_data(folder: Path) -> LoadPageData:
    """Read a folder. Raises UserError if it is not a load's, or its load never ended."""
    record = read(folder)
    started = _started(folder / SAMPLES)
    plan = folder / PLAN
    return LoadPageData(
        record,
        judge_load(record),
        files.read(plan).topology if plan.is_file() else None,
        started.get("load", record.job.load),
        started.get("at"),
    )


def _started(samples: Path) -> dict[str, Any]:
    """The event of the start; {} if there was none."""
    from lab.load.metrics.result_file import StartedFile

    if samples.is_file():
        with samples.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if line.startswith('{"event":"started"'):
                    return {**decode_json(line, StartedFile, str(samples), number)}
    return {}
