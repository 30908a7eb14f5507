"""A study from request to result: a lab for each run, the load on it, a row for each topology, all in one folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from lab.errors import UserError
from lab.input_files import error_at, read_text
from lab.load.analysis import study_folder
from lab.load.analysis.study import StudyRun, in_order, measure_all, study_run
from lab.load.analysis.study_folder import StudyData
from lab.load.load_execution import Progress, measure, temporary_lab
from lab.load.load_request import LoadRequest
from lab.load.metrics.result import Result
from lab.load.metrics.run_folder import LoadRecord, read
from lab.load.report.html.study_page import write_page
from lab.runner import folders
from lab.topology.spec import Topology

#: Characters of a shape that do not belong in a folder's name.
_PLAIN = str.maketrans(dict.fromkeys(":,=@/+ ", "-"))


@dataclass(frozen=True)
class StudyRequest:
    """A study: `arguments` as they were given (see `parse`), a request for each topology, software and encryption."""

    arguments: Mapping[str, Any]
    requests: Mapping[str, LoadRequest]
    folder: Path | None = None  # of the study that is resumed
    done: Mapping[tuple[str, int], Path] = field(default_factory=dict)  # its completed runs, by topology and seed

    @classmethod
    def parse(cls, arguments: Mapping[str, Any], runs: Path) -> StudyRequest:
        """A new study. `arguments` are topologies, software, encryptions, seeds, and the options of every load.

        Raises UserError or MissingError for what is wrong with them.
        """
        ours = ("topologies", "software", "encryptions", "seeds")
        given = {name: value for name, value in arguments.items() if name not in ours}
        requests: dict[str, LoadRequest] = {}
        for name, kind, encryption in product(
            arguments["topologies"], arguments["software"] or [None], arguments.get("encryptions") or [None]
        ):
            title = " ".join(one for one in (name, kind, encryption) if one is not None)
            if title in requests:
                raise UserError(f"{title} is twice in the study: give each once")
            requests[title] = LoadRequest.parse(
                **given, topology=name, software=kind, encryption=encryption, body=None, seed=0, bounds=None,
                find_limit=None, lab=None, runs=runs,
            )  # fmt: skip
        if not requests:
            raise UserError("a study needs topologies: -t ring:8 -t star:8")
        return cls(arguments, requests)

    @classmethod
    def resume(cls, folder: Path, seeds: int | None) -> StudyRequest:
        """An earlier study, with the runs that it still lacks.

        `seeds` is the number of runs of each topology; more than before add runs. Raises UserError if the folder is
        not a study's, or if a topology has changed.
        """
        arguments, done = study_folder.find_completed_runs(folder)
        try:
            request = cls.parse({**arguments, "seeds": max(seeds or 0, arguments["seeds"])}, folder.parent)
        except UserError as error:
            raise study_folder.wrong_value(folder, ("arguments",), str(error)) from error
        for (name, _), run in done.items():
            if name not in request.requests:
                raise study_folder.wrong_value(folder, ("runs",), f"the arguments have no {name!r}, and {run} is of it")
            if folders.read_plan(run).topology != request.requests[name].topology:
                path, other = run / folders.PLAN, f"{name} is not what it was: start a new study, or undo its change"
                raise error_at(read_text(path, "a plan"), str(path), ("topology",), other)
        return replace(request, folder=folder, done=done)

    @property
    def planned(self) -> int:
        """The number of runs."""
        return len(self.requests) * int(self.arguments["seeds"])


async def run_study(
    request: StudyRequest, progress: Progress, on_result: Callable[[Path, StudyData], None]
) -> StudyData:
    """Run a study; the folder has study.json after each run, and the page at the end.

    `on_result` is called with the folder and study.json, also with those of a study that was interrupted. Raises
    UserError, MissingError, NotReady if a lab does not become ready, PeerError if a load failed.
    """
    first = next(iter(request.requests.values()))
    folder = request.folder or folders.make(first.runs, "study", f"{len(request.requests)}-topologies")
    entries: list[StudyData] = []
    runs: list[StudyRun] = []

    async def measure_one(topology: Topology, seed: int) -> Result:
        name, load = next((name, one) for name, one in request.requests.items() if one.topology is topology)
        here = f"run {len(entries) + 1} of {request.planned}: {name}, seed {seed}"
        run = _run_folder(folder, f"{len(entries) + 1:03}-{name.translate(_PLAIN)}-{seed}")
        record = await _run(load, topology, run, seed, lambda text: progress(f"{here}: {text}" if text else here))
        entries.append(study_folder.build_run_entry(record, name, seed))
        return record.result

    def contents() -> StudyData:
        return study_folder.build_contents(
            _asked(request), request.planned, entries, in_order(runs, list(topologies)), request.arguments
        )

    topologies = {name: one.topology for name, one in request.requests.items() if one.topology is not None}
    for (name, seed), path in request.done.items():  # first: study.json lacks none of them, whatever ends this
        record = read(path)
        entries.append(study_folder.build_run_entry(record, name, seed))
        runs.append(study_run(name, topologies[name], seed, record.result))
    study_folder.write_study(folder, contents())
    try:
        async for run in measure_all(measure_one, topologies, range(request.arguments["seeds"]), request.done):
            runs.append(run)
            study_folder.write_study(folder, contents())
    finally:  # also for the runs that were measured until it was interrupted
        data = contents()
        study_folder.write_study(folder, data)
        write_page(folder)
        on_result(folder, data)
    return data


async def _run(request: LoadRequest, topology: Topology, folder: Path, seed: int, progress: Progress) -> LoadRecord:
    """One run: a lab, and the load on it."""
    progress("")
    async with temporary_lab(topology, request.runtime, progress) as lab:
        return await measure(request, lab, folder, {**request.load, "seed": seed}, progress)


def _run_folder(study: Path, name: str) -> Path:
    """A folder for a run; with a number if an interrupted study left one with that name."""
    number = 1
    while (study / (found := name if number == 1 else f"{name}-again{number}")).exists():
        number += 1
    (study / found).mkdir(mode=0o700)
    return study / found


def _asked(request: StudyRequest) -> dict[str, Any]:
    """The settings that all runs have in common."""
    one = next(iter(request.requests.values()))
    rate = {"rate": one.rate} if one.rate is not None else {}
    given = {name: value for name, value in one.load.items() if name not in ("seed", "encryption")}
    if encryptions := request.arguments.get("encryptions"):
        given["encryption"] = ", ".join(encryptions)
    own = {"workers": one.workers, "seeds": request.arguments["seeds"], "pin": one.pin, "runtime": one.runtime}
    return {"load": one.test.name, **rate, **given, **own}
