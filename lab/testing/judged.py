"""A run around a test: the test is the scenario, and what its messages came to is judged when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab.report.folder import write_report
from lab.runner.run import FINISHED, RunResult, run_scenario
from lab.runner.scenarios import ScenarioInfo

if TYPE_CHECKING:
    from lab.federation import Federation
    from lab.lifecycle.lab import Lab


class Judged(Exception):
    """A test passed, yet its history does not hold: a message was lost, sent twice, seen where it must not be."""


@asynccontextmanager
async def judged(
    lab: Lab, test: str, file: Path, *, runs: Path, expects: Mapping[str, str], quiet: list[bool]
) -> AsyncIterator[Federation]:
    """A federation for the length of a test. Raises Judged at its end if a check failed or the lab did.

    `quiet` holds something once the test itself has failed: then the run is wound up and nothing more is raised.
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
        raise Judged((await running).sentence)
    try:
        yield ready.result()
    finally:
        over.set()
        result = await running
    if not quiet and (result.value == "failed" or result.how != FINISHED):
        raise Judged(_text(result))


def _text(result: RunResult) -> str:
    return f"the test passed, its history does not: {result.sentence}\n{result.folder}"
