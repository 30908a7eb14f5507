"""The highest rate that a lab carries, searched by loads on it, each in a folder of its own.

    from lab.load.capacity.search import Bounds
    from lab.load.capacity.trials import find_limit_on

    limit = await find_limit_on(lab, {"users": 100, "seconds": 10.0, "warmup": 2.0}, Bounds(p99=0.2), folder=folder)

Between two loads the lab is waited for until it is idle (lab.load.capacity.idle).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.declarations.units import duration_text
from lab.errors import UserError
from lab.lifecycle.lab import Lab
from lab.load.analysis.bottleneck import Surroundings
from lab.load.capacity.idle import LabQuiet
from lab.load.capacity.search import Bounds, Limit, Measured, Trial, find_limit
from lab.load.coordinator import provisioning as preparing
from lab.load.launch import carry
from lab.load.metrics import allowance
from lab.load.metrics.cpu import split
from lab.load.metrics.result import Usage
from lab.load.model.job import Job
from lab.load.report.progress import Follower
from lab.load.workload.preflight import MODELS, WORKERS_MOST, LoadTest
from lab.plan import files
from lab.plan.model import Plan
from lab.runner.folders import PLAN, write
from lab.topology.spec import Topology

#: Seconds until the lab must be idle again, at least; a long overload may leave more than it lasted.
SETTLE = 60.0
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
    judged: Mapping[str, float] | None = None,
    progress: Progress = lambda text: None,
    told: Callable[[Trial], None] = lambda trial: None,
) -> Limit:
    """Search on a lab that is up. `load` has fields of `Load` except the arrivals, which the search sets.

    `model` is "constant" or "poisson"; `test` a Locust file, or the traffic that stands in `load` too; `judged` what a
    trial's own report is judged by (lab.load.analysis.thresholds), the search's bounds unless given. `told` gets
    each trial once it
    is over. Below `folder`, which must be there, each trial has a folder as `xmpplab load` leaves it.

    Raises UserError for what cannot be, with what would work; MissingError, PeerError, TimedOut.
    """
    if model not in MODELS or "arrivals" in load:
        raise UserError(f"a search chooses the rate of {' or '.join(MODELS)} arrivals: leave others out")
    bounds = replace(bounds, highest=min(bounds.highest, _most(bounds, workers)))
    around = replace(surroundings(lab.plan, len(split(workers)[0]) if pin else None), server_cores=await _allowed(lab))
    length = float(load.get("seconds", 30.0)) + float(load.get("warmup", 5.0))
    check(lab.plan.topology, bounds, str(load.get("traffic", test.name if test.file is None else "")))
    own = {"p99": bounds.p99, "failed": bounds.failed} if judged is None else dict(judged)
    trials = Trials(lab, Job(lab.name, load, workers, None, pin, name=test.name, bounds=own), test, folder, progress)
    people = preparing.load_on(lab, load)
    progress("waiting for the idle lab's own delays")
    async with LabQuiet(lab) as quiet:

        async def settle() -> str:
            progress("waiting until nothing of the last load is left")
            await preparing.forget(lab, people)
            return await quiet.wait(max(SETTLE, 4 * length))

        return await find_limit(lambda rate: trials.measure(rate, model), bounds, around, settle, told)


def surroundings(plan: Plan, together: int | None = None) -> Surroundings:
    """What the parts can do at most: the machine's cores, links that have a rate or a latency; `together` if pinned."""
    conditions = {f"{one.source}->{one.target}": one.conditions for one in plan.relays}
    rates = {route: one.rate for route, one in conditions.items() if one.rate is not None}
    delays = {route: one.latency for route, one in conditions.items() if one.latency}
    return Surroundings(cores=len(os.sched_getaffinity(0)), together=together, links=rates, delays=delays)


async def _allowed(lab: Lab) -> dict[str, float]:
    """Cores that servers may use, of those who may not use one: a server is one thread, so one is all it can use."""
    pids = {name: one.pid for name, one in (await lab.states()).items() if one.pid is not None}
    found = {name: allowance.cores(pid) for name, pid in pids.items()}
    return {name: cores for name, cores in found.items() if cores is not None and cores < 1}


def check(topology: Topology, bounds: Bounds, traffic: str) -> None:
    """Raises UserError, with the p99 that would work, where all goes over links that alone take longer than p99 may."""
    delays = [one.latency for link in topology.links if not link.direct for one in (link.forward, link.backward)]
    if traffic == "neighbours" and len(delays) == 2 * len(topology.links) and min(delays, default=0.0) >= bounds.p99:
        raise UserError(
            f"no rate keeps p99 within {duration_text(bounds.p99)}: links alone take up to "
            f"{duration_text(max(delays))}; ask for p99={duration_text(round(2 * max(delays), 3))} or so"
        )


def _most(bounds: Bounds, workers: int) -> float:
    most = float(workers * WORKERS_MOST)
    if bounds.start > most:
        raise UserError(
            f"a search that begins at {bounds.start:.0f}/s is beyond what {workers} workers can write ({most:.0f}/s): "
            f"begin at {most / 2:.0f}/s or lower, or take {-(-int(bounds.start) // WORKERS_MOST)} workers"
        )
    return most


class Trials:
    """Loads on a lab, one after the other, each in a folder below `folder`; `job` says all but rate and folder."""

    def __init__(self, lab: Lab, job: Job, test: LoadTest, folder: Path, progress: Progress) -> None:
        self._lab, self._job, self._test, self._folder, self._progress = lab, job, test, folder, progress
        self._count = 0

    async def measure(self, rate: float, model: str) -> Measured:
        """One load at a rate."""
        self._count += 1
        here, events = f"trial {self._count}, {rate:.0f}/s", Around()
        folder = self._folder / f"{self._count:02}-{rate:.0f}"
        folder.mkdir(mode=0o700)
        write(folder / PLAN, files.dump(self._lab.plan))
        self._progress(here)
        follower = Follower(lambda text: self._progress(f"{here}: {text}"))

        def follow(event: dict[str, Any]) -> None:
            follower(event)
            events.take(event)

        load = {**self._job.load, "arrivals": f"{model}:{rate:.3f}/s"}
        job = replace(self._job, load=load, folder=folder.absolute(), page=False)  # `xmpplab report` draws it if wanted
        kept = await carry(job, self._test, follow)
        return Measured(kept.result, events.cores())


class Around:
    """Cores that the machine and the lab's services kept busy in the steady state, from a load's events."""

    def __init__(self) -> None:
        self._span = (0.0, 0.0)
        self._readings: dict[str, list[Usage]] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        """Take an event of docs/load-coordinator.md."""
        if event["event"] == "started":
            self._span = (event["warmup"], event["warmup"] + event["seconds"])
        for name, reading in event.get("around", {}).items():
            self._readings.setdefault(name, []).append(Usage(*reading))

    def cores(self) -> dict[str, float]:
        """By name; without two readings inside there is none."""
        first, last = self._span
        found = {}
        for name, readings in self._readings.items():
            inside = [one for one in readings if first <= one.at <= last]
            if len(inside) > 1:
                found[name] = (inside[-1].cpu - inside[0].cpu) / (inside[-1].at - inside[0].at)
        return found
