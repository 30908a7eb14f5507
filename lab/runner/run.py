"""One run of a scenario: from an empty folder to a verdict. Whatever happens, the folder is left complete.

This is the place where a scenario's errors end, each as what it means:

    ExpectationFailed, NotReceived, another
    AssertionError                              expectation      the run failed
    NotApplicable                               not-applicable   a counted skip
    PeerError, TimedOut                         peer-error       the scenario broke off: unknown
    MissingError                                missing          the machine lacks something: unknown, and exit code 69
    another LabError, but no UserError          lab-error        nothing certain is known: unknown
    a coroutine that was never awaited          script-error     what it should have done is missing: unknown
    UserError, SystemExit, GeneratorExit, a
    CancelledError of its own making, any other
    error, the deadline                         script-error     the scenario broke off: unknown
    cancelled (Ctrl-C, SIGTERM)                 interrupted      what there is is written, then CancelledError is raised

Whatever the end, the history is then judged, and the caller's `report` is called.
"""

from __future__ import annotations

import asyncio
import json
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lab import exit_codes
from lab.checks import Judgement
from lab.errors import (
    LabError,
    MissingError,
    NotApplicable,
    NotReady,
    NotReceived,
    PeerError,
    TimedOut,
    UserError,
    describe,
)
from lab.federation import Federation
from lab.history.events import FORMAT, Expectation, RunEnded, RunStarted
from lab.history.recorder import Recorder
from lab.lifecycle.faults import refuse_packet_loss
from lab.lifecycle.lab import Lab
from lab.metrics.record import RunRecord
from lab.plan import files
from lab.plan.model import Plan
from lab.runner import folders
from lab.runner.context import Run, active
from lab.runner.declared_faults import NEVER, RunFaults
from lab.runner.expectations import ExpectationFailed
from lab.runner.invocation import call
from lab.runner.judgement import judge_folder
from lab.runner.scenarios import ScenarioInfo
from lab.runner.unawaited_coroutines import unawaited
from lab.runtime.server_files import read_certificates
from lab.servers.conventions import LOG, OUTPUT
from lab.system.machine import describe_machine
from lab.topology.allowance import largest_allowance
from lab.topology.faults import check_all
from lab.topology.spec import FaultSpec, Topology

# In seconds. A scenario ends within seconds; one that takes longer than this hangs, and its history says more than
# further waiting.
SCENARIO_DEADLINE = 600.0
# In seconds. Markers and feeds have deadlines of their own; this one is for a lab that does not answer at all.
SETTLE_DEADLINE = 120.0

FINISHED, EXPECTATION = "finished", "expectation"
LAB_ERROR, PEER_ERROR, SCRIPT_ERROR = "lab-error", "peer-error", "script-error"
MISSING, NOT_APPLICABLE, INTERRUPTED = "missing", "not-applicable", "interrupted"
_BROKEN = (LAB_ERROR, PEER_ERROR, SCRIPT_ERROR, MISSING)  # nothing is settled after these


# Called once a run has been judged: writes what is made of record and judgement into the run's folder.
Report = Callable[[Path, RunRecord, Judgement], None]


@dataclass(frozen=True)
class RunResult:
    """The result of a run."""

    folder: Path
    how: str  # as RunEnded says
    value: str
    sentence: str
    exit_code: int
    seconds: float  # that it took

    @property
    def skipped(self) -> bool:
        """True if the topology could not give what the scenario needs."""
        return self.how == NOT_APPLICABLE


async def run_scenario(
    info: ScenarioInfo,
    lab: Lab,
    *,
    report: Report | None = None,
    runs: Path = folders.RUNS,
    within: float = SCENARIO_DEADLINE,
    inline: bool = False,
    faults: Sequence[FaultSpec] | None = None,
    at_once: bool = False,
    command: str = "",
) -> RunResult:
    """Run a scenario on a lab that is up, with fresh people, and judge it; returns once the run's folder is complete.

    `within` is the longest that the scenario may take, in seconds. With `inline` the people's devices live in this
    process, where breakpoints reach them (runtime `processes` only). The declared `faults`, by default those of the
    lab's topology, act from the first step on, or `at_once`. The servers' logs are copied unless the run is valid.
    `command` is what repeats the run, for its report.
    Raises CancelledError when cancelled, UserError if the folder cannot be made; all else is a result.
    """
    began = time.monotonic()
    faults = lab.plan.topology.faults if faults is None else tuple(faults)
    check_all(faults, lab.plan.topology)
    refuse_packet_loss(faults, lab.runtime.name)
    plan = replace(lab.plan, topology=replace(lab.plan.topology, faults=tuple(faults)))
    folder = folders.make(runs, info.name, plan.topology.name)
    folders.write(folder / folders.TOPOLOGY, json.dumps(asdict(plan.topology), indent=2) + "\n")
    folders.write(folder / folders.PLAN, files.dump(plan))
    ended = RunEnded(at=0.0, how=INTERRUPTED, detail="the run was interrupted")
    try:
        with Recorder(folder / folders.HISTORY) as recorder:
            recorder.record(_started(info, plan, recorder, command, read_certificates(lab.layout, plan)))
            try:
                ended = await _perform(info, lab, recorder, within, faults, inline=inline, at_once=at_once)
            finally:
                recorder.record(RunEnded(at=recorder.now(), how=ended.how, detail=ended.detail))
    finally:
        record, judgement = judge_folder(folder)
        if judgement.exit_code != exit_codes.VALID and ended.how != NOT_APPLICABLE:
            folders.copy_logs(folder, _logs_of(lab))
        if report is not None:
            report(folder, record, judgement)
    took = time.monotonic() - began
    lacking = ended.how == MISSING and judgement.exit_code == exit_codes.UNKNOWN
    code = exit_codes.MISSING if lacking else judgement.exit_code
    return RunResult(folder, ended.how, judgement.value, judgement.sentence, code, took)


def _started(
    info: ScenarioInfo, plan: Plan, recorder: Recorder, command: str, certificates: tuple[tuple[str, ...], ...]
) -> RunStarted:
    return RunStarted(
        at=recorder.now(),
        scenario=info.name,
        title=info.title,
        topology=plan.topology.name,
        runtime=plan.facts.runtime,
        spec=info.spec,
        expects=info.expects,
        command=command,
        machine=describe_machine(),
        certificates=certificates,
        format=FORMAT,
    )


def _logs_of(lab: Lab) -> dict[str, tuple[Path, ...]]:
    """The log files of each server by its name, and of the lab's service."""
    servers = {
        server.spec.name: (lab.layout.server(server.spec.name) / LOG, lab.layout.server(server.spec.name) / OUTPUT)
        for server in lab.plan.servers
    }
    return {**servers, "service": (lab.layout.service_log,)}


async def _perform(
    info: ScenarioInfo,
    lab: Lab,
    recorder: Recorder,
    within: float,
    faults: Sequence[FaultSpec],
    *,
    inline: bool,
    at_once: bool,
) -> RunEnded:
    """The scenario, then markers and what the servers saw; each error becomes how the run ended."""
    ended: RunEnded | None = None
    try:
        async with (
            Federation(lab, recorder, inline=inline) as federation,
            RunFaults(federation, faults, at_once=at_once) as declared,
        ):
            with unawaited() as forgotten:
                ended = await _run_function(info, federation, recorder, within)
            ended = _with_forgotten(ended, forgotten)
            if ended.how == NOT_APPLICABLE:
                return ended
            if declared.missed and ended.how == FINISHED:
                ended = _end(SCRIPT_ERROR, NEVER)
            async with asyncio.timeout(settle_deadline(lab.plan.topology)):
                await declared.end()
                if ended.how not in _BROKEN:
                    await federation.settle()
                await federation.collect()
    except Exception as error:  # noqa: BLE001 - whatever ends a run
        return _failed_after(ended, error, lab.plan.topology)
    return ended


def _with_forgotten(ended: RunEnded, forgotten: list[str]) -> RunEnded:
    """The end of a scenario that made coroutines and never awaited them: what it judged is not all that it says."""
    if not forgotten or ended.how == NOT_APPLICABLE:
        return ended
    text = "; ".join(forgotten)
    return _end(SCRIPT_ERROR, text) if ended.how == FINISHED else _end(ended.how, f"{ended.detail}; {text}")


def settle_deadline(topology: Topology) -> float:
    """Seconds that markers and feeds may take: a marker may need a new stream over the slowest link."""
    return SETTLE_DEADLINE + 2 * largest_allowance(topology)


async def _run_function(info: ScenarioInfo, federation: Federation, recorder: Recorder, within: float) -> RunEnded:
    """The scenario itself."""
    with active(recorder) as run:
        outcome = await call(lambda: info.function(federation), within)
        error = outcome.error
        if outcome.overdue:
            where = f"{_place(error, info)}: " if error is not None else ""
            ignored = "" if outcome.ended else ", and it goes on although it was cancelled"
            return _end(SCRIPT_ERROR, f"{where}not over after {within:g} s{_in_step(run, error)}{ignored}")
        if error is None:
            return _end(FINISHED, "")
        if isinstance(error, ExpectationFailed):
            return _end(EXPECTATION, str(error))
        if isinstance(error, AssertionError):
            return _end(EXPECTATION, _plain_assertion(error, info, recorder))
        if isinstance(error, NotApplicable):
            return _end(NOT_APPLICABLE, str(error))
        return _end(_kind(error), f"{_place(error, info)}: {_said(error)}{_in_step(run, error)}")


def _kind(error: BaseException) -> str:
    """How a run ends that such an error left."""
    if isinstance(error, UserError) or not isinstance(error, LabError):
        return SCRIPT_ERROR
    if isinstance(error, MissingError):
        return MISSING
    refused = isinstance(error, PeerError) or (isinstance(error, TimedOut) and not isinstance(error, NotReady))
    return PEER_ERROR if refused else LAB_ERROR


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):  # some scripts end so; the verdict is the lab's all the same
        return f"sys.exit({error.code!r})"
    if isinstance(error, asyncio.CancelledError):
        return "CancelledError: what it awaited had been cancelled, by the scenario itself"
    return describe(error)


def _plain_assertion(error: AssertionError, info: ScenarioInfo, recorder: Recorder) -> str:
    """A bare `assert` is an expectation as well: record it as one."""
    where = _place(error, info)
    said = str(error).strip() or "the assertion does not hold"
    late = isinstance(error, NotReceived)
    check = error.check if isinstance(error, NotReceived) else ""
    expected = f"the stanza awaited at {where}" if late else f"the assertion at {where}"
    recorder.record(
        Expectation(at=recorder.now(), expected=expected, actual=said, held=False, timed_out=late, check=check)
    )
    return f"{where}: {said}"


def _failed_after(ended: RunEnded | None, error: Exception, topology: Topology) -> RunEnded:
    """The end after an error of the lab's own, before or after the scenario: what was found out stays known."""
    said = f"no end after {settle_deadline(topology):g} s" if isinstance(error, TimeoutError) else describe(error)
    if ended is None:
        return _end(LAB_ERROR, f"the federation could not be opened: {said}")
    text = f"the lab failed at the end of the run: {said}"
    if ended.how in (EXPECTATION, *_BROKEN):
        return _end(ended.how, f"{ended.detail}; then {text}")
    return _end(LAB_ERROR, text)


def _place(error: BaseException, info: ScenarioInfo) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(info.file)), info.line)
    return f"{info.file.name}:{line}"


def _in_step(run: Run, error: BaseException | None) -> str:
    """In which step it happened."""
    known = error is not None and run.failed is not None and run.failed[0] is error
    return f", in the step {run.failed[1]!r}" if run.failed and known else ""


def _end(how: str, detail: str) -> RunEnded:
    return RunEnded(at=0.0, how=how, detail=detail)
