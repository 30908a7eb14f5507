"""A run around a test: the test is the scenario, and the history is judged when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from lab.federation import Federation
from lab.lifecycle.lab import Lab
from lab.report.folder import write_report
from lab.runner.run import FINISHED, RunResult, run_scenario
from lab.runner.scenarios import ScenarioInfo


class JudgementFailed(Exception):
    """A test passed, but a check of its history failed: a message was lost, delivered twice, readable on a server."""


@asynccontextmanager
async def federation_run(
    lab: Lab, test: str, file: Path, *, runs: Path, expects: Mapping[str, str], failed: list[bool]
) -> AsyncIterator[Federation]:
    """A federation for the length of a test. Raises JudgementFailed at its end if a check failed or the lab did.

    `failed` holds something once the test itself has failed: then the run is ended and nothing more is raised.
    """
    ready: asyncio.Future[Federation] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def body(federation: Federation) -> None:
        ready.set_result(federation)
        await over.wait()

    info = ScenarioInfo(
        name=test, title=test, spec="", expects=tuple(expects.items()), function=body, file=file, line=1
    )
    running = asyncio.create_task(run_scenario(info, lab, report=write_report, runs=runs))
    await asyncio.wait((ready, running), return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        raise JudgementFailed((await running).sentence)
    try:
        yield ready.result()
    finally:
        over.set()
        result = await running
    if not failed and (result.value == "failed" or result.how != FINISHED):
        raise JudgementFailed(_text(result))


def _text(result: RunResult) -> str:
    return f"the test passed, its history does not: {result.sentence}\n{result.folder}"
