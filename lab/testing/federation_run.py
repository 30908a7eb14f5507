"""A run around a test: the test is the scenario, and the history is judged when it is over.

The run ends as the test did: what leaves the test leaves the scenario, so that the folder's verdict is the test's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from lab import exit_codes
from lab.checks.judge import NOTHING_JUDGED
from lab.errors import NotApplicable
from lab.federation import Federation
from lab.lifecycle.lab import Lab
from lab.report.html.run_files import write_reports
from lab.runner.context import Run, current
from lab.runner.run import RunResult, run_scenario
from lab.runner.scenarios import ScenarioInfo
from lab.runner.wanted_verdicts import Expects, read_expects
from lab.topology.spec import FaultSpec

_HINT = (
    "Is an `await` missing? What the test itself compares counts if it says so with `expect` (from lab import expect)."
)


class JudgementFailed(Exception):
    """A test passed, but the verdict is not valid: a message was lost or delivered twice, or nothing was judged."""


@asynccontextmanager
async def federation_run(
    lab: Lab,
    test: str,
    file: Path,
    *,
    runs: Path,
    expects: Expects,
    ended: Callable[[], BaseException | None],
    on_result: Callable[[RunResult], None],
    faults: Sequence[FaultSpec] | None = None,
    command: str = "",
) -> AsyncIterator[tuple[Federation, Run]]:
    """A federation for the length of a test, and its run. Raises JudgementFailed at its end unless it is valid.

    `ended` is called at the end of the block: the error that left the test, None if it passed; where the test has not
    been over it raises LookupError, and the run is interrupted. `on_result` is called with the result. A test that has
    failed by itself fails no second time. Declared `faults` act from the test's beginning on; `command` repeats it.
    """
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[tuple[Federation, Run]] = loop.create_future()
    over: asyncio.Future[BaseException | None] = loop.create_future()

    async def body(federation: Federation) -> None:
        run = current.get()
        assert run is not None  # `run_scenario` has set it
        ready.set_result((federation, run))
        if (error := await over) is not None:
            raise _as_of_scenario(error)

    info = ScenarioInfo(name=test, title=test, spec="", expects=read_expects(expects), function=body, file=file, line=1)
    running = asyncio.create_task(
        run_scenario(info, lab, report=write_reports, runs=runs, faults=faults, at_once=True, command=command)
    )
    await asyncio.wait((ready, running), return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        raise JudgementFailed((await running).sentence)
    error, result = None, None
    try:
        yield ready.result()
    finally:
        try:
            error = ended()
        except LookupError:
            await _cancel(running)
        else:
            over.set_result(error)
            on_result(result := await running)
    if error is None and result is not None and result.exit_code != exit_codes.VALID and not result.skipped:
        raise JudgementFailed(_text(result))


async def _cancel(running: asyncio.Task[RunResult]) -> None:
    """End a run whose test was interrupted."""
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def _as_of_scenario(error: BaseException) -> Exception:
    """What leaves a test, as a scenario may raise it: pytest's own outcomes are no exceptions of that kind."""
    if isinstance(error, pytest.skip.Exception):
        return NotApplicable(str(error))
    return error if isinstance(error, Exception) else AssertionError(str(error))


def _text(result: RunResult) -> str:
    text = f"the test passed, but its run is {result.value}: {result.sentence}"
    return f"{text}\n{_HINT}" if result.sentence == NOTHING_JUDGED else text
