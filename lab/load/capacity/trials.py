"""The highest rate of a lab within bounds: the search runs loads on it, each with its own folder.

    from lab.load.capacity.search import Bounds
    from lab.load.capacity.trials import find_limit_on

    limit = await find_limit_on(lab, {"users": 100, "seconds": 10.0, "warmup": 2.0}, Bounds(p99=0.2), folder=folder)

Between two loads it waits until the lab is idle (lab.load.capacity.idle).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.declarations.units import format_duration
from lab.errors import UserError
from lab.lifecycle.lab import Lab
from lab.load.analysis.bottleneck import Capacities
from lab.load.capacity.idle import LabIdleDetector
from lab.load.capacity.search import Bounds, Limit, Measure, Measurement, Trial, find_limit
from lab.load.coordinator import provisioning
from lab.load.coordinator.child_process import run_in_child
from lab.load.coordinator.preflight import MAX_WORKER_RATE, MODELS, LoadTest
from lab.load.coordinator.progress import ProgressPrinter
from lab.load.metrics.cpu import read_allowed_cores, split_cores
from lab.load.metrics.result import Usage
from lab.load.model.job import Job
from lab.plan import files
from lab.plan.model import Plan
from lab.runner.folders import PLAN, write
from lab.topology.spec import Topology

#: Seconds that the search waits at most until the lab is idle; longer after long runs.
IDLE_TIMEOUT = 60.0
_ENGINE = LoadTest("neighbours")
Progress = Callable[[str], None]


async def find_limit_on(
    lab: Lab,
    load: Mapping[str, Any],
    bounds: Bounds,
    *,
    folder: Path,
    model: str = MODELS[0],
    workers: int = 1,
    pin: bool = False,
    test: LoadTest = _ENGINE,
    trial_bounds: Mapping[str, float] | None = None,
    progress: Progress = lambda text: None,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Limit:
    """Search on a lab that is up; returns when the rate found was confirmed, or when no rate is within the bounds.

    `load` has fields of `lab.load.model.spec.Load` except arrivals, which the search chooses. `model` is "constant" or
    "poisson". `workers` is the number of worker processes; with `pin` each has a core. `test` is a Locust file, or the
    traffic that `load` has too. `trial_bounds` are the bounds of a trial's report (lab.load.analysis.thresholds; delays
    in seconds, losses as shares), by default those of the search. `progress` is called with short sentences,
    `on_trial` with each trial when it has ended. `folder` must exist; each trial has a folder below it, as
    `xmpplab load` writes it.

    Raises UserError, with what would work, for what is not possible; MissingError if this machine lacks something,
    PeerError if the load failed or the lab has ended, TimedOut if the lab was not idle at the start.
    """
    if model not in MODELS or "arrivals" in load:
        raise UserError(f"a search can only use {' or '.join(MODELS)} arrivals, since it chooses the rate")
    bounds = replace(bounds, highest=min(bounds.highest, _most(bounds, workers)))
    capacities = compute_capacities(lab.plan, len(split_cores(workers)[0]) if pin else None)
    capacities = replace(capacities, server_cores=await _server_cores(lab))
    length = float(load.get("seconds", 30.0)) + float(load.get("warmup", 5.0))
    check(lab.plan.topology, bounds, str(load.get("traffic", test.name if test.file is None else "")))
    own = {"p99": bounds.p99, "failed": bounds.failed} if trial_bounds is None else dict(trial_bounds)
    job = Job(lab.name, load, workers, None, pin, name=test.name, bounds=own)
    runner = TrialRunner(lab, job, test, folder, progress)
    whole = provisioning.build_load(lab, load)
    progress("measuring the delays of the idle lab")
    async with LabIdleDetector(lab) as detector:

        async def wait_until_idle() -> str:
            progress("waiting until the lab is idle")
            await provisioning.empty_archives(lab, whole)
            return await detector.wait(max(IDLE_TIMEOUT, 4 * length))

        measure: Measure = lambda rate: runner.measure(rate, model)  # noqa: E731
        return await find_limit(measure, bounds, capacities, wait_until_idle, on_trial)


def compute_capacities(plan: Plan, pinned_cores: int | None = None) -> Capacities:
    """The capacities of a lab: the machine's cores, rates and latencies of links; `pinned_cores` of all servers."""
    conditions = {f"{one.source}->{one.target}": one.conditions for one in plan.relays}
    rates = {route: one.rate for route, one in conditions.items() if one.rate is not None}
    delays = {route: one.latency for route, one in conditions.items() if one.latency}
    return Capacities(cores=len(os.sched_getaffinity(0)), pinned_cores=pinned_cores, links=rates, delays=delays)


async def _server_cores(lab: Lab) -> dict[str, float]:
    """Cores that servers may use, by name, where that is less than one. A server has one busy thread: it uses one."""
    pids = {name: one.pid for name, one in (await lab.read_states()).items() if one.pid is not None}
    found = {name: read_allowed_cores(pid) for name, pid in pids.items()}
    return {name: cores for name, cores in found.items() if cores is not None and cores < 1}


def check(topology: Topology, bounds: Bounds, traffic: str) -> None:
    """Raises UserError, with a p99 that would work, where every message crosses a link whose latency is above p99."""
    delays = [one.latency for link in topology.links if not link.direct for one in (link.forward, link.backward)]
    if traffic == "neighbours" and len(delays) == 2 * len(topology.links) and min(delays, default=0.0) >= bounds.p99:
        raise UserError(
            f"no rate has a p99 of {format_duration(bounds.p99)}: the latency of links alone is up to "
            f"{format_duration(max(delays))}; ask for p99={format_duration(round(2 * max(delays), 3))} or so"
        )


def _most(bounds: Bounds, workers: int) -> float:
    most = float(workers * MAX_WORKER_RATE)
    if bounds.start > most:
        raise UserError(
            f"a search cannot start at {bounds.start:.0f}/s: {workers} workers can write {most:.0f}/s; "
            f"start at {most / 2:.0f}/s or lower, or take {-(-int(bounds.start) // MAX_WORKER_RATE)} workers"
        )
    return most


class TrialRunner:
    """Runs loads on a lab, one after the other, each in a folder below `folder`; `job` has all but rate and folder."""

    def __init__(self, lab: Lab, job: Job, test: LoadTest, folder: Path, progress: Progress) -> None:
        self._lab, self._job, self._test, self._folder, self._progress = lab, job, test, folder, progress
        self._count = 0

    async def measure(self, rate: float, model: str) -> Measurement:
        """Run one load at a rate."""
        self._count += 1
        here, usage = f"trial {self._count}, {rate:.0f}/s", OtherUsage()
        folder = self._folder / f"{self._count:02}-{rate:.0f}"
        folder.mkdir(mode=0o700)
        write(folder / PLAN, files.dump(self._lab.plan))
        self._progress(here)
        printer = ProgressPrinter(lambda text: self._progress(f"{here}: {text}"))

        def follow(event: dict[str, Any]) -> None:
            printer(event)
            usage.take(event)

        load = {**self._job.load, "arrivals": f"{model}:{rate:.3f}/s"}
        job = replace(self._job, load=load, folder=folder.absolute(), page=False)  # `xmpplab report` writes one
        record = await run_in_child(job, self._test, follow)
        return Measurement(record.result, usage.cores())


class OtherUsage:
    """Cores that the machine and the lab's services used in the steady state, from a load's events."""

    def __init__(self) -> None:
        self._span = (0.0, 0.0)
        self._readings: dict[str, list[Usage]] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        """Take an event of docs/load-coordinator.md."""
        if event["event"] == "started":
            self._span = (event["warmup"], event["warmup"] + event["seconds"])
        for name, reading in event.get("around", {}).items():
            self._readings.setdefault(name, []).append(Usage.decode(reading))

    def cores(self) -> dict[str, float]:
        """By name; a name with fewer than two readings in the steady state is left out."""
        first, last = self._span
        found = {}
        for name, readings in self._readings.items():
            inside = [one for one in readings if first <= one.at <= last]
            if len(inside) > 1:
                found[name] = (inside[-1].cpu - inside[0].cpu) / (inside[-1].at - inside[0].at)
        return found
