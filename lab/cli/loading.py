"""What `xmpplab load` does: everything is checked, then there is a lab, then the load runs as a child, then it is told.

A lab is made for the load, since its links are direct and its servers silent, and ends with the command; with a name
the load runs on that lab as it is.
"""

from __future__ import annotations

import json as json_
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import exit_codes
from lab.errors import NotReady, UserError
from lab.runner import folders

if TYPE_CHECKING:
    from lab.lifecycle.lab import Lab
    from lab.load.metrics.run_folder import LoadRecord
    from lab.load.workload.preflight import LoadTest
    from lab.topology.spec import Topology

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is asked for, read and checked as far as it can be without a lab."""

    test: LoadTest
    topology: Topology | None
    load: Mapping[str, Any]  # as a job has it
    rate: str | None  # for Locust, which knows the file's model
    workers: int
    pin: bool
    bounds: Mapping[str, float]
    find_limit: str | None
    runtime: str
    lab: str | None
    runs: Path
    json: bool

    @classmethod
    def of(
        cls, *, test: str, topology: str | None, users: int, rate: str | None, length: str, warmup: str, workers: int,
        arrivals: str | None, body: int | None, seed: int, pin: bool, bounds: str | None, find_limit: str | None,
        runtime: str, lab: str | None, runs: Path, json: bool, software: str | None = None, security: str = "starttls",
    ) -> Request:  # fmt: skip
        """From the command line. Raises UserError or MissingError for all that is wrong with it."""
        from lab.declarations.units import seconds
        from lab.load.analysis import thresholds as limits
        from lab.load.coordinator.provisioning import for_load
        from lab.load.metrics.cpu import split_cores
        from lab.load.workload import preflight
        from lab.topology.files import load as load_topology

        if (topology is None) == (lab is None):
            raise UserError("say where: -t TOPOLOGY makes a lab for the load, --name LAB takes one that is up")
        found = preflight.find_test(test)
        asked: dict[str, Any] = {"users": users, "seconds": seconds(length), "warmup": seconds(warmup), "seed": seed}
        asked |= {} if found.file is not None else {"traffic": found.name}
        asked |= {} if body is None else {"body": body}
        asked |= {} if security == "starttls" else {"security": security}
        written = preflight.arrivals_text(rate, arrivals)
        only_rate = found.file is not None and arrivals is None
        if written is not None and not only_rate:
            asked["arrivals"] = written
        where = for_load(_with(load_topology(topology), software)) if topology is not None else None
        if pin:
            split_cores(workers)
        if find_limit is not None:
            from lab.cli.limit_search import bounds_of, model_of
            from lab.load.capacity.trials import check

            if bounds is not None:
                raise UserError("--find-limit has the bounds: leave --bounds out")
            within = bounds_of(find_limit, model_of(written)[1])
            if where is not None:
                check(where, within, str(asked.get("traffic", "")))
        folders.check(runs)
        request = cls(
            found, where, asked, rate if only_rate else None, workers, pin,
            limits.parse_bounds(bounds or limits.DEFAULT), find_limit, runtime, lab, runs, json,
        )  # fmt: skip
        if where is not None:
            request.check(where)
        return request

    def check(self, topology: Topology) -> None:
        """Whether it can be done with these servers, before any has accounts. Raises UserError or MissingError."""
        from lab.load.workload import preflight

        arrivals = {} if self.rate is None else {"arrivals": preflight.arrivals_text(self.rate, None)}
        preflight.check_load(topology, {**self.load, **arrivals}, self.workers)


def _with(topology: Topology, software: str | None) -> Topology:
    """The topology with that software on every server that the lab has accounts on. Raises UserError."""
    from lab.declarations.manifest import Accounts
    from lab.declarations.servers import INSTALLED, manifest
    from lab.topology.software import parse

    if software is None:
        return topology
    chosen = parse(software)
    if manifest(chosen.software).accounts is not Accounts.CREATED:
        raise UserError(f"--software {software}: a load needs accounts; take one of {', '.join(INSTALLED)}")
    servers = (
        replace(one, software=chosen.software, version=chosen.version)
        if one.manifest.accounts is Accounts.CREATED
        else one
        for one in topology.servers
    )
    return replace(topology, servers=tuple(servers))


async def perform(request: Request, progress: Progress) -> int:
    """All of it; the exit code."""
    try:
        async with a_lab(request.topology, request.lab, request.runtime, progress) as lab:
            if request.topology is None:
                request.check(lab.plan.topology)
            if request.find_limit is not None:
                from lab.cli.limit_search import search

                return await search(request, lab, progress)
            from lab.load.analysis.thresholds import judge_load

            return judge_load(await once(request, lab, progress, lambda kept: tell(kept, json=request.json))).exit_code
    except NotReady as error:
        from lab.cli.edge import say

        say(f"it was never ready: {error}")
        return exit_codes.NOT_READY


@asynccontextmanager
async def a_lab(topology: Topology | None, name: str | None, runtime: str, progress: Progress) -> AsyncIterator[Lab]:
    """A lab of our own for the length of the block, or the one of that name."""
    from lab.lifecycle.registry import attach
    from lab.lifecycle.up import up

    if topology is None:
        yield await attach(name)
        return
    lab = await up(topology, runtime=runtime, owned=True, progress=progress)
    try:
        yield lab
    finally:
        await lab.down()


async def measured(
    request: Request,
    lab: Lab,
    folder: Path,
    load: Mapping[str, Any],
    progress: Progress,
    bounds: Mapping[str, float] | None = None,
) -> LoadRecord:
    """One load in that folder, which holds the plan as well; `bounds` are the request's unless others are given."""
    from lab.load.coordinator.child_process import carry
    from lab.load.coordinator.progress import ProgressPrinter
    from lab.load.model.job import Job
    from lab.plan import files

    folders.write(folder / folders.PLAN, files.dump(lab.plan))
    job = Job(
        lab.name, load, request.workers, folder.absolute(), request.pin,
        name=request.test.name, bounds=request.bounds if bounds is None else bounds,
    )  # fmt: skip
    more = ["--rate", request.rate] if request.rate is not None and "arrivals" not in load else []
    kept = await carry(job, request.test, ProgressPrinter(progress), more)
    return replace(kept, folder=folder)  # as it was asked for, not as the child needs it


async def once(request: Request, lab: Lab, progress: Progress, tell: Callable[[LoadRecord], None]) -> LoadRecord:
    """One load on that lab, in a folder of its own, and told, also where it was interrupted."""
    from lab.load.metrics.run_folder import RESULT, read

    folder = folders.make(request.runs, request.test.name, lab.plan.topology.name)
    try:
        kept = await measured(request, lab, folder, request.load, progress)
    except BaseException:
        if (folder / RESULT).is_file():  # it was interrupted, and still says what it has
            tell(read(folder))
        raise
    tell(kept)
    return kept


def tell(kept: LoadRecord, *, json: bool) -> None:
    """Print what a load came to, for people or for programs; its folder and its page last."""
    from lab.load.analysis.thresholds import judge_load
    from lab.load.metrics.rows import by_route
    from lab.load.report.text import report

    judged, page = judge_load(kept), (kept.folder / folders.PAGE).absolute()
    if json:
        result = kept.result
        readings = {**result.usage, **kept.generators}
        data = {
            "folder": str(kept.folder),
            "page": str(page),
            "interrupted": kept.interrupted,
            "verdict": judged.value,
            "sentence": judged.sentence,
            "measured": kept.measured,
            "settled": kept.settled,
            "routes": by_route(result) if kept.measured else [],
            "cores": result.cores(),
            "cpu_per_1000": result.cost(),
            "memory": {name: max(one.rss for one in found) for name, found in readings.items() if found},
            "links": result.links,
            "bounced": dict(result.total.bounced),
            "reconnects": result.reconnects,
            "plan": result.plan,
            "lag": {f"p{percent}": result.lag.percentile(percent) for percent in (50, 99)},
            "limits": list(kept.limits),
            "remarks": list(kept.remarks),
            "misses": list(judged.misses),
        }
        print(json_.dumps(data, indent=2))
        return
    print(f"{report(kept)}{kept.folder}\n{page.as_uri()}", flush=True)
