"""What `xmpplab study` does: a lab for each run, the load on it, a row for each topology; all kept in one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import exit_codes
from lab.cli.loading import Progress, Request, a_lab, measured
from lab.errors import NotReady, UserError
from lab.runner import folders

if TYPE_CHECKING:
    from lab.load.analysis.study import StudyRun
    from lab.load.metrics.result import Result
    from lab.load.metrics.run_folder import LoadRecord
    from lab.topology.spec import Topology


@dataclass(frozen=True)
class Study:
    """What is asked for: `arguments` as they were given (see `of`), a request for each topology and software."""

    arguments: Mapping[str, Any]
    requests: Mapping[str, Request]
    json: bool
    folder: Path | None = None  # of an earlier study that is gone on with
    done: Mapping[tuple[str, int], Path] = field(default_factory=dict)  # its runs, by topology and seed

    @classmethod
    def of(cls, arguments: Mapping[str, Any], json: bool, runs: Path) -> Study:
        """A study of its own. `arguments` are topologies, software, seeds, and what every request has.

        Raises UserError or MissingError for all that is wrong with it.
        """
        given = {name: value for name, value in arguments.items() if name not in ("topologies", "software", "seeds")}
        requests: dict[str, Request] = {}
        for name in arguments["topologies"]:
            for kind in arguments["software"] or [None]:
                title = name if kind is None else f"{name} {kind}"
                if title in requests:
                    raise UserError(f"{title} stands twice in the study: give each topology once")
                requests[title] = Request.of(
                    **given, topology=name, software=kind, body=None, seed=0, bounds=None, find_limit=None, lab=None,
                    runs=runs, json=False,
                )  # fmt: skip
        if not requests:
            raise UserError("a study needs topologies: -t ring:8 -t star:8")
        return cls(arguments, requests, json)

    @classmethod
    def resumed(cls, folder: Path, seeds: int | None, json: bool) -> Study:
        """An earlier study, with what it still lacks; with more `seeds` it is made longer. Raises UserError."""
        from lab.cli.compare import plan_of
        from lab.load.report.study import whole_runs

        arguments, done = whole_runs(folder)
        study = cls.of({**arguments, "seeds": max(seeds or 0, arguments["seeds"])}, json, folder.parent)
        for (name, _), run in done.items():
            if plan_of(run).topology != study.requests[name].topology:
                raise UserError(f"{name} is not what it was in {run}: begin the study anew, or take its change back")
        return replace(study, folder=folder, done=done)

    @property
    def planned(self) -> int:
        """Runs in all."""
        return len(self.requests) * int(self.arguments["seeds"])


async def perform(study: Study, progress: Progress) -> int:
    """All of it; 0 if every run was measured, 2 if not. What was measured is kept after each run."""
    from lab.load.analysis.study import measure_all
    from lab.load.metrics.run_folder import read
    from lab.load.report import study as studied

    folder = study.folder or folders.make(
        next(iter(study.requests.values())).runs, "study", f"{len(study.requests)}-topologies"
    )
    runs: list[dict[str, Any]] = []
    cells: list[StudyRun] = []

    async def measure(topology: Topology, seed: int) -> Result:
        name, request = next((name, one) for name, one in study.requests.items() if one.topology is topology)
        if (name, seed) in study.done:
            kept = read(study.done[name, seed])
        else:
            here = f"run {len(runs) + 1} of {study.planned}: {name}, seed {seed}"
            run = _folder(folder, f"{len(runs) + 1:03}-{name.translate(_PLAIN)}-{seed}")
            kept = await _one(request, run, seed, lambda text: progress(f"{here}: {text}" if text else here))
        runs.append(studied.run_of(kept, name, seed))
        return kept.result

    def contents() -> dict[str, Any]:
        return studied.contents(_asked(study), study.planned, runs, cells, study.arguments)

    topologies = {name: one.topology for name, one in study.requests.items() if one.topology is not None}
    studied.keep(folder, contents())
    try:
        async for cell in measure_all(measure, topologies, range(study.arguments["seeds"])):
            cells.append(cell)
            studied.keep(folder, contents())
    except NotReady as error:
        from lab.cli.edge import say

        say(f"a lab was never ready: {error}")
        return exit_codes.NOT_READY
    finally:  # also of what was measured until it was interrupted
        _conclude(folder, contents(), json_only=study.json)
    return exit_codes.VALID if all(run["measured"] for run in runs) else exit_codes.UNKNOWN


async def _one(request: Request, run: Path, seed: int, progress: Progress) -> LoadRecord:
    """A lab, and the load on it."""
    progress("")
    async with a_lab(request.topology, None, request.runtime, progress) as lab:
        return await measured(request, lab, run, {**request.load, "seed": seed}, progress)


def _folder(study: Path, name: str) -> Path:
    """A run's folder; beside one of that name that an interrupted study left."""
    number = 1
    while (study / (found := name if number == 1 else f"{name}-again{number}")).exists():
        number += 1
    (study / found).mkdir(mode=0o700)
    return study / found


_PLAIN = str.maketrans(dict.fromkeys(":,=@/+ ", "-"))


def _asked(study: Study) -> dict[str, Any]:
    """What all runs have alike."""
    one = next(iter(study.requests.values()))
    rate = {"rate": one.rate} if one.rate is not None else {}
    given = {name: value for name, value in one.load.items() if name != "seed"}
    own = {"workers": one.workers, "seeds": study.arguments["seeds"], "pin": one.pin, "runtime": one.runtime}
    return {"load": one.test.name, **rate, **given, **own}


def _conclude(folder: Path, data: dict[str, Any], *, json_only: bool) -> None:
    from lab.load.report import study as studied
    from lab.load.report.html.study_page import write_page

    studied.keep(folder, data)
    write_page(folder)
    tell(folder, data, json_only=json_only)


def tell(folder: Path, data: dict[str, Any], *, json_only: bool) -> None:
    """Print what a study came to, for people or for programs; its folder and its page last."""
    from lab.load.report.study import text

    page = (folder / folders.PAGE).absolute()
    if json_only:
        told = {name: data[name] for name in ("table", "correlations")}
        print(json.dumps({"folder": str(folder), "page": str(page), **told}, indent=2))
    else:
        print(f"{text(data)}{folder}\n{page.as_uri()}", flush=True)
