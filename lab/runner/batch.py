"""Scenarios on several topologies: a lab for each topology, every scenario on it.

A lab that is up with an equal plan is used and left up. Otherwise a lab is started that ends with this process; with
`keep` it is started so that it can stay, and ended here unless a result is not valid.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from lab import exit_codes
from lab.errors import MissingError, NotReady, UserError
from lab.lifecycle.lab import Lab, require_libraries
from lab.lifecycle.registry import attach, find, find_changes
from lab.lifecycle.runtimes import choose
from lab.lifecycle.up import choose_name, up
from lab.packaged import find as find_packaged
from lab.runner import folders
from lab.runner.run import SCENARIO_DEADLINE, Report, RunResult, run_scenario
from lab.runner.scenarios import ScenarioInfo
from lab.runner.scenarios import load as load_scenarios
from lab.topology.files import load as load_topology
from lab.topology.files import load_all, load_faults
from lab.topology.spec import FaultSpec, Placement, Topology


@dataclass(frozen=True)
class BatchRequest:
    """What to run, and on what: either `topologies` or a `lab` that is up."""

    scenarios: tuple[str, ...]
    topologies: tuple[str, ...]
    lab: str | None
    runtime: str
    keep: bool
    within: float  # seconds that one scenario may take
    runs: Path
    inline: bool  # devices in this process
    faults: Path | None = None  # declared faults, instead of those of the topologies


@dataclass(frozen=True)
class BatchResult:
    """The result of one scenario on one topology."""

    scenario: str
    topology: str
    value: str  # "valid", "failed", "unknown", "skipped", "never ready", "broken"
    exit_code: int
    seconds: float
    folder: Path | None
    skipped: bool = False
    sentence: str = ""  # why it is so, "" where there is nothing to say

    @classmethod
    def of_run(cls, scenario: str, topology: str, result: RunResult) -> BatchResult:
        """That of a run."""
        return cls(
            scenario, topology, result.value, result.exit_code, result.seconds, result.folder, result.skipped,
            result.sentence,
        )  # fmt: skip


@dataclass(frozen=True)
class BatchCallbacks:
    """What a batch calls while it runs."""

    progress: Callable[[str], None]  # with a short sentence about what it does
    report: Report  # with each run that was judged
    on_result: Callable[[ScenarioInfo, str, RunResult], None]  # with scenario, topology and result of each run
    on_error: Callable[[Exception], int]  # with the error of a topology's lab; returns its exit code
    on_kept: Callable[[str], None]  # with the name of a lab that is left up


async def run_batch(request: BatchRequest, callbacks: BatchCallbacks) -> list[BatchResult]:
    """Run every scenario on every topology.

    Raises UserError for what is wrong with the request, before anything is started; MissingError if this machine lacks
    something. Another error ends its topology only.
    """
    infos = [info for name in request.scenarios for info in load_scenarios(name)]
    folders.check(request.runs)
    if request.lab and request.topologies:
        raise UserError("give --topology or --name, not both: a lab that is up has its topology already")
    if not request.topologies and request.lab is None and (own := [one for one in infos if one.topology]):
        results = await _run_on_topologies(request, callbacks, [([one], one.topology) for one in own])
        others = [one for one in infos if not one.topology]
        return results + (await _run_on_lab(request, callbacks, others) if others else [])
    if not request.topologies:
        return await _run_on_lab(request, callbacks, infos)
    return await _run_on_topologies(request, callbacks, [(infos, one) for one in request.topologies])


async def _run_on_lab(request: BatchRequest, callbacks: BatchCallbacks, infos: list[ScenarioInfo]) -> list[BatchResult]:
    """On the lab that is named, or the one that is up."""
    if request.lab is None:
        callbacks.progress("no topology was given: using the lab that is up")
    lab = await attach(request.lab, whole=False)
    for sentence in lab.ended:
        callbacks.progress(f"{sentence}: only the rest of {lab.name} can be used")
    if request.inline and lab.runtime.name != "processes":
        raise UserError(f"--inline needs a lab of processes, and {lab.name} is in containers")
    _check_placement(request, [lab.plan.topology])
    await require_libraries(lab.runtime, _encryptions(infos))
    faults, on = _faults(request, [lab.plan.topology]), _repeat_on(lab)
    return [await _run_on(lab, info, request, callbacks, faults, _command(request, info, on)) for info in infos]


def _repeat_on(lab: Lab) -> str:
    """The options that repeat a run on this lab, or on an equal one if it is not up any more; by name if it has no
    topology that is known to be still the same.
    """
    try:
        if lab.source and not find_changes(lab, load_topology(lab.source), lab.runtime):
            return f"-t {quote(lab.source)} --runtime {lab.runtime.name}"
    except UserError:  # the file has gone, or is wrong now
        pass
    return f"--name {quote(lab.name)}"


async def _run_on_topologies(
    request: BatchRequest, callbacks: BatchCallbacks, runs: Sequence[tuple[list[ScenarioInfo], str]]
) -> list[BatchResult]:
    """Scenarios, each time on one topology."""
    results: list[BatchResult] = []
    topologies = load_all([source for _, source in runs])
    _check_placement(request, topologies)
    if used := _encryptions(info for infos, _ in runs for info in infos):
        await require_libraries(choose(request.runtime), used)
    faults = _faults(request, topologies)
    for (infos, source), topology in zip(runs, topologies, strict=True):
        chosen = topology if faults is None else replace(topology, faults=faults)
        results += await _run_topology(chosen, source, infos, request, callbacks)
    return results


def _encryptions(infos: Iterable[ScenarioInfo]) -> list[str]:
    return [name for info in infos for name in info.encryptions]


def _check_placement(request: BatchRequest, topologies: Sequence[Topology]) -> None:
    if request.inline and (apart := [one.name for one in topologies if one.placement is Placement.EACH]):
        raise UserError(
            f"--inline has all devices in this process, and {apart[0]} places each person: "
            "leave out --inline, or use `placement: together`"
        )


def _faults(request: BatchRequest, topologies: Sequence[Topology]) -> tuple[FaultSpec, ...] | None:
    """The declared faults of the file that was given, checked on these topologies; None without one."""
    return None if request.faults is None else load_faults(request.faults, topologies)


def _command(request: BatchRequest, info: ScenarioInfo, on: str) -> str:
    """What repeats the run of one scenario on one topology or lab."""
    packaged = find_packaged("scenarios", info.name, ".py")
    scenario = info.name if packaged is not None and packaged.samefile(info.file) else f"{info.file}::{info.name}"
    words = ["xmpplab run", quote(scenario), on]
    if request.faults is not None:
        words.append(f"--faults {quote(str(request.faults))}")
    return " ".join(words)


async def _run_topology(
    topology: Topology, source: str, infos: list[ScenarioInfo], request: BatchRequest, callbacks: BatchCallbacks
) -> list[BatchResult]:
    started = time.monotonic()
    results: list[BatchResult] = []
    try:
        async with _lab_for(topology, request, results, callbacks) as lab:
            callbacks.progress(f"{topology.name} is up ({lab.runtime.name}) after {time.monotonic() - started:.1f} s")
            for info in infos:
                on = f"-t {quote(source)} --runtime {lab.runtime.name}"
                command = _command(request, info, on)
                results.append(await _run_on(lab, info, request, callbacks, topology.faults, command))
    except NotReady as error:
        never = NotReady(f"{topology.name} was never ready: {error}")
        value, code, why = "never ready", callbacks.on_error(never), str(never)
    except (UserError, MissingError, OSError):  # of the request or of the machine: it is the same for every topology
        raise
    except Exception as error:  # noqa: BLE001 - the other topologies are run all the same
        value, code, why = "broken", callbacks.on_error(error), f"{type(error).__name__}: {error}"
    else:
        return results
    took = time.monotonic() - started
    names = [one.name for one in infos[len(results) :]] or ["(its end)"]
    return [*results, *(BatchResult(name, topology.name, value, code, took, None, sentence=why) for name in names)]


@asynccontextmanager
async def _lab_for(
    topology: Topology, request: BatchRequest, results: list[BatchResult], callbacks: BatchCallbacks
) -> AsyncIterator[Lab]:
    """A lab for this topology; at the end of the block `results` decide whether `keep` leaves it up."""
    runtime = choose(request.runtime)
    if (found := await find(topology, runtime)) is not None:
        callbacks.progress(f"using the lab {found.name}, which is up with the same plan")
        yield found
        return
    name = choose_name(topology, None, owned=True)
    lab = await up(topology, runtime=runtime, name=name, owned=not request.keep, progress=callbacks.progress)
    kept = False
    try:
        yield lab
        kept = request.keep and any(one.exit_code != exit_codes.VALID and not one.skipped for one in results)
    finally:
        if not kept:
            await lab.down()
    if kept:
        callbacks.on_kept(name)


async def _run_on(
    lab: Lab,
    info: ScenarioInfo,
    request: BatchRequest,
    callbacks: BatchCallbacks,
    faults: Sequence[FaultSpec] | None,
    command: str,
) -> BatchResult:
    return await run_on(
        lab, info, callbacks, runs=request.runs, within=request.within, inline=request.inline, faults=faults,
        command=command,
    )  # fmt: skip


async def run_on(
    lab: Lab,
    info: ScenarioInfo,
    callbacks: BatchCallbacks,
    *,
    runs: Path,
    within: float = SCENARIO_DEADLINE,
    inline: bool = False,
    faults: Sequence[FaultSpec] | None = None,
    command: str = "",
) -> BatchResult:
    """Run one scenario on a lab that is up; `on_result` has been called when it returns.

    `faults` are the declared ones, by default those of the lab's topology; `command` is what repeats the run.
    """
    topology = lab.plan.topology.name
    callbacks.progress(f"running {info.name} on {topology}: {info.title}")
    result = await run_scenario(
        info, lab, report=callbacks.report, runs=runs, within=within, inline=inline, faults=faults,
        command=command,
    )  # fmt: skip
    callbacks.on_result(info, topology, result)
    return BatchResult.of_run(info.name, topology, result)
