"""A study from request to result: a lab for each run, the load on it, a row for each topology, all in one folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from lab.errors import UserError
from lab.input_files import error_at, read_text
from lab.lifecycle.lab import require_libraries
from lab.lifecycle.runtimes import choose
from lab.load.analysis import study_folder
from lab.load.analysis.study import LIMIT, Figures, StudyRun, compute_figures, in_order, measure_all, study_run
from lab.load.analysis.study_folder import StudyData
from lab.load.capacity.search import Limit
from lab.load.limit_search import search_on
from lab.load.load_execution import Progress, measure, temporary_lab
from lab.load.load_request import LoadRequest
from lab.load.metrics.run_folder import read
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
    done: Mapping[tuple[str, int], StudyData] = field(default_factory=dict)  # its completed runs, by topology and seed

    @classmethod
    def parse(cls, arguments: Mapping[str, Any], runs: Path) -> StudyRequest:
        """A new study. `arguments` are topologies, software, encryptions, seeds, and the options of every load.

        Raises UserError or MissingError for what is wrong with them.
        """
        ours = ("topologies", "software", "encryptions", "seeds")
        optional = ("encryptions", "find_limit", "faults")  # one that was not given is in no study.json
        arguments = {name: value for name, value in arguments.items() if value is not None or name not in optional}
        given = {"find_limit": None, **{name: value for name, value in arguments.items() if name not in ours}}
        requests: dict[str, LoadRequest] = {}
        for name, kind, encryption in product(
            arguments["topologies"], arguments["software"] or [None], arguments.get("encryptions") or [None]
        ):
            title = " ".join(one for one in (name, kind, encryption) if one is not None)
            if title in requests:
                raise UserError(f"{title} is twice in the study: give each once")
            requests[title] = LoadRequest.parse(
                **given, topology=name, software=kind, encryption=encryption, body=None, seed=0, bounds=None,
                lab=None, runs=runs,
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
        for (name, _), entry in done.items():
            run = folder / entry["folder"]
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
    await require_libraries(choose(first.runtime), [one.encryption for one in request.requests.values()])
    folder = request.folder or folders.make(first.runs, "study", f"{len(request.requests)}-topologies")
    entries: list[StudyData] = []
    runs: list[StudyRun] = []

    async def measure_one(topology: Topology, seed: int) -> Figures:
        name, load = next((name, one) for name, one in request.requests.items() if one.topology is topology)
        here = f"run {len(entries) + 1} of {request.planned}: {name}, seed {seed}"
        run = _run_folder(folder, f"{len(entries) + 1:03}-{name.translate(_PLAIN)}-{seed}")

        def tell(text: str) -> None:
            progress(f"{here}: {text}" if text else here)

        entry, figures = await _run(load, topology, run, name, seed, tell)
        entries.append(entry)
        return figures

    def contents() -> StudyData:
        return study_folder.build_contents(
            _asked(request), request.planned, entries, in_order(runs, list(topologies)), request.arguments
        )

    topologies = {name: one.topology for name, one in request.requests.items() if one.topology is not None}
    for (name, seed), entry in request.done.items():  # first: study.json lacks none of them, whatever ends this
        own, figures = _read_run(folder, entry)
        entries.append(own)
        runs.append(study_run(name, topologies[name], seed, figures))
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


async def _run(
    request: LoadRequest, topology: Topology, folder: Path, name: str, seed: int, progress: Progress
) -> tuple[StudyData, Figures]:
    """One run: a lab, and the load on it, or a search of the highest rate; its entry in study.json, and its figures."""
    progress("")
    load = {**request.load, "seed": seed}
    async with temporary_lab(topology, request.runtime, progress) as lab:
        if request.find_limit is None:
            record = await measure(request, lab, folder, load, progress)
            figures = compute_figures(record.result, record.faults)
            return study_folder.build_run_entry(record, name, seed), figures
        limit = await search_on(replace(request, load=load), lab, folder, progress, lambda *_: None)
        figures = compute_limit_figures(limit)
        return build_search_entry(folder.name, limit, figures, name, seed), figures


def compute_limit_figures(limit: Limit) -> dict[str, float]:
    """The rate that a search found, and the figures of the load that confirmed it; {} if it is not confirmed."""
    if not limit.confirmed:
        return {}
    last = next(one for one in reversed(limit.trials) if one.holds and one.rate == limit.rate)
    return {LIMIT: limit.rate, **compute_figures(last.result)}


def build_search_entry(folder: str, limit: Limit, figures: Mapping[str, float], topology: str, seed: int) -> StudyData:
    """One search for the highest rate, as in study.json. What no server prevented is the generator's limit."""
    return {
        "folder": folder,
        "topology": topology,
        "seed": seed,
        "measured": limit.confirmed,
        "limited": limit.bottleneck in ("generator", "none"),
        "figures": dict(figures),
        "search": {
            "rate": limit.rate,
            "part": limit.bottleneck,
            "why": limit.why,
            "trials": [{"rate": one.rate, "holds": one.holds} for one in limit.trials],
        },
    }


def _read_run(study: Path, entry: StudyData) -> tuple[StudyData, Figures]:
    """The entry and the figures of a run that was completed before."""
    if "figures" in entry:
        return entry, entry["figures"]
    record = read(study / entry["folder"])
    return (
        study_folder.build_run_entry(record, entry["topology"], entry["seed"]),
        compute_figures(record.result, record.faults),
    )


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
    given |= {} if one.find_limit is None else {"find_limit": one.find_limit}
    own = {"workers": one.workers, "seeds": request.arguments["seeds"], "pin": one.pin, "runtime": one.runtime}
    return {"load": one.test.name, **rate, **given, **own}
