"""One run of a scenario: from an empty folder to a verdict. Whatever happens, the folder is left complete.

This is the edge where a scenario's errors end, each once, as what they mean:

    ExpectationFailed, another AssertionError   expectation      the run failed
    NotApplicable                               not-applicable   a counted skip
    LabError                                    lab-error        nothing certain is known: unknown
    UserError, SystemExit, any other error,
    the deadline                                script-error     the scenario broke off: unknown
    cancelled (Ctrl-C, SIGTERM)                 interrupted      what is there is written, then it goes on upwards

The verdict comes from outside (`conclude`): the runner makes histories and does not judge them.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from lab import exit_codes
from lab.errors import LabError, NotApplicable, UserError
from lab.history.events import Expectation, RunEnded, RunStarted
from lab.history.recorder import Recorder
from lab.plan import files
from lab.plan.model import Plan
from lab.runner import folders
from lab.runner.context import Run, active
from lab.runner.expectations import ExpectationFailed
from lab.runner.scenarios import ScenarioInfo

# A story is over in seconds; past this one hangs, and its history so far tells more than waiting on.
SCENARIO_DEADLINE = 600.0
# Markers and feeds have deadlines of their own; this is for a lab that does not answer at all.
SETTLE_DEADLINE = 120.0

FINISHED, EXPECTATION = "finished", "expectation"
LAB_ERROR, SCRIPT_ERROR = "lab-error", "script-error"
NOT_APPLICABLE, INTERRUPTED = "not-applicable", "interrupted"


class Running(Protocol):
    """What the runner needs of a federation, beside what the scenario does with it."""

    async def settle(self) -> None:
        """Put a marker on every route that was used."""
        ...

    async def collect(self) -> None:
        """Take what servers saw and kept into the history."""
        ...


class Verdict(Protocol):
    """What came of judging a run."""

    @property
    def value(self) -> str:
        """ "valid", "failed", "unknown" or "skipped"."""
        ...

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        ...

    @property
    def exit_code(self) -> int:
        """As lab.exit_codes says."""
        ...


Opener = Callable[[Recorder], AbstractAsyncContextManager[Running]]
Conclude = Callable[[Path], Verdict]
Logs = Mapping[str, Iterable[Path]]  # server name -> log files


@dataclass(frozen=True)
class RunResult:
    """What a run came to."""

    folder: Path
    how: str  # as RunEnded says
    value: str
    sentence: str
    exit_code: int

    @property
    def skipped(self) -> bool:
        """True if the topology could not give what the scenario needs."""
        return self.how == NOT_APPLICABLE


async def run(
    info: ScenarioInfo,
    open_federation: Opener,
    *,
    plan: Plan,
    conclude: Conclude,
    logs: Logs | None = None,
    runs: Path = folders.RUNS,
    within: float = SCENARIO_DEADLINE,
) -> RunResult:
    """Run a scenario on a federation that is up and judge it; returns once the run's folder is complete.

    `open_federation(recorder)` gives the federation for the length of an `async with`; `logs` are copied unless the
    run is valid. Raises CancelledError when cancelled, UserError if the folder cannot be made; all else is a result.
    """
    folder = folders.make(runs, info.name, plan.topology.name)
    folders.write(folder / folders.TOPOLOGY, json.dumps(asdict(plan.topology), indent=2) + "\n")
    folders.write(folder / folders.PLAN, files.dump(plan))
    ended = RunEnded(at=0.0, how=INTERRUPTED, detail="the run was interrupted")
    try:
        with Recorder(folder / folders.HISTORY) as recorder:
            recorder.record(_started(info, plan, recorder))
            try:
                ended = await _perform(info, open_federation, recorder, within)
            finally:
                recorder.record(RunEnded(at=recorder.now(), how=ended.how, detail=ended.detail))
    finally:
        verdict = conclude(folder)
        if verdict.exit_code != exit_codes.VALID and ended.how != NOT_APPLICABLE:
            folders.copy_logs(folder, logs or {})
    return RunResult(folder, ended.how, verdict.value, verdict.sentence, verdict.exit_code)


def _started(info: ScenarioInfo, plan: Plan, recorder: Recorder) -> RunStarted:
    return RunStarted(
        at=recorder.now(),
        scenario=info.name,
        title=info.title,
        topology=plan.topology.name,
        runtime=plan.ground.runtime,
        spec=info.spec,
        expects=info.expects,
    )


async def _perform(info: ScenarioInfo, open_federation: Opener, recorder: Recorder, within: float) -> RunEnded:
    """Scenario, settling, collecting; each error becomes how the run ended."""
    ended: RunEnded | None = None
    try:
        async with open_federation(recorder) as federation:
            ended = await _tell(info, federation, recorder, within)
            if ended.how == NOT_APPLICABLE:
                return ended
            async with asyncio.timeout(SETTLE_DEADLINE):
                if ended.how not in (LAB_ERROR, SCRIPT_ERROR):
                    await federation.settle()
                await federation.collect()
    except Exception as error:  # noqa: BLE001 - the edge of a run
        return _and_then(ended, error)
    return ended


async def _tell(info: ScenarioInfo, federation: Running, recorder: Recorder, within: float) -> RunEnded:
    """The scenario itself."""
    with active(recorder) as run:
        limit = asyncio.timeout(within)
        try:
            async with limit:
                await info.function(federation)
        except ExpectationFailed as error:
            return _end(EXPECTATION, str(error))
        except AssertionError as error:
            return _end(EXPECTATION, _plain_assertion(error, info, recorder))
        except NotApplicable as error:
            return _end(NOT_APPLICABLE, str(error))
        except SystemExit as error:  # a script's habit; the verdict is still the lab's to give
            return _end(SCRIPT_ERROR, f"{_place(error, info)}: sys.exit({error.code!r}){_doing(run, error)}")
        except Exception as error:  # noqa: BLE001 - the edge of somebody else's script
            if limit.expired():
                where = _place(error.__cause__ or error, info)
                return _end(SCRIPT_ERROR, f"{where}: not over after {within:g} s{_doing(run, error)}")
            lab_failed = isinstance(error, LabError) and not isinstance(error, UserError)
            return _end(LAB_ERROR if lab_failed else SCRIPT_ERROR, _describe(error, info) + _doing(run, error))
    return _end(FINISHED, "")


def _plain_assertion(error: AssertionError, info: ScenarioInfo, recorder: Recorder) -> str:
    """A bare `assert` is an expectation as well: record it as one."""
    where = _place(error, info)
    said = str(error).strip() or "the assertion does not hold"
    recorder.record(Expectation(at=recorder.now(), expected=f"the assertion at {where}", actual=said, held=False))
    return f"{where}: {said}"


def _and_then(ended: RunEnded | None, error: Exception) -> RunEnded:
    """The end after an error of the lab's own, before or after the scenario: what was found out stays known."""
    said = f"no end after {SETTLE_DEADLINE:g} s" if isinstance(error, TimeoutError) else _text(error)
    if ended is None:
        return _end(LAB_ERROR, f"the federation could not be opened: {said}")
    text = f"the lab failed while the run was wound up: {said}"
    if ended.how in (EXPECTATION, LAB_ERROR, SCRIPT_ERROR):
        return _end(ended.how, f"{ended.detail}; then {text}")
    return _end(LAB_ERROR, text)


def _describe(error: Exception, info: ScenarioInfo) -> str:
    """What went wrong, with the scenario's line that it came from."""
    return f"{_place(error, info)}: {_text(error)}"


def _place(error: BaseException, info: ScenarioInfo) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(info.file)), info.line)
    return f"{info.file.name}:{line}"


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, LabError) else f"{type(error).__name__}: {error}"


def _doing(run: Run, error: BaseException) -> str:
    """In which step it happened; a TimeoutError's cause is the cancellation that left the step."""
    known = run.broke is not None and run.broke[0] in (error, error.__cause__)
    return f", in the step {run.broke[1]!r}" if run.broke and known else ""


def _end(how: str, detail: str) -> RunEnded:
    return RunEnded(at=0.0, how=how, detail=detail)
