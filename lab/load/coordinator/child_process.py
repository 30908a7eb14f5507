"""A load in a child process: Locust for a file, or the coordinator alone for a traffic.

Both write the same folder (lab.load.metrics.run_folder); events are read from it while they are written. However this
process ends, the child stops: either the coordinator's input ends, or it gets SIGTERM and its result is awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from lab.errors import LabError, PeerError, UserError, decode_error
from lab.load.coordinator.preflight import LoadTest
from lab.load.metrics.run_folder import RESULT, SAMPLES, LoadRecord, read
from lab.load.model.job import FILE, VARIABLE, Job
from lab.load.worker.engine import DRAIN_TIMEOUT
from lab.runner.folders import write
from lab.system.processes import die_with_parent

#: What the child itself writes: Locust's tables, and what went wrong.
LOG = "output.log"
_POLL = 0.1  # seconds between two looks for events
_STOPPING = DRAIN_TIMEOUT + 20.0  # seconds: the drain, logging out, the result
_EVIDENCE = 12  # last lines quoted

Follow = Callable[[dict[str, Any]], None]


async def carry(job: Job, test: LoadTest, follow: Follow, more: Sequence[str] = ()) -> LoadRecord:
    """Carry a job out; what it left. `job.folder` must be there; `more` are arguments for Locust.

    Raises what the load failed with. Cancelled, it stops the load first, and its folder is whole then.
    """
    assert job.folder is not None
    write(job.folder / FILE, job.encode() + "\n")
    with (job.folder / LOG).open("wb") as log:
        process = await _start(job, test, log, more)
    try:
        failed = await _followed(process, _events(job.folder / SAMPLES), follow)
    except BaseException:
        await _stopped(process)
        raise
    if failed is not None:
        raise failed
    if not (job.folder / RESULT).is_file():
        if process.returncode == 0 and not (job.folder / SAMPLES).is_file():
            raise UserError(
                f"{test.file}: has tasks of its own and no traffic: give it to `locust -f`, with this lab up"
            )
        raise PeerError(f"{test.name} ended ({process.returncode}) without a result:\n{_last(job.folder / LOG)}")
    return read(job.folder)


async def _start(job: Job, test: LoadTest, log: IO[bytes], more: Sequence[str]) -> asyncio.subprocess.Process:
    assert job.folder is not None
    if test.file is None:
        words = [sys.executable, "-m", "lab.load"]
    else:
        words = [sys.executable, "-m", "locust", "-f", str(test.file), "--headless", "--only-summary", *more]
        words += ["-u", str(job.load["users"]), "-t", f"{math.ceil(job.load['seconds'])}s"]
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL if test.file is None else log,
        stderr=log,
        env={**os.environ, VARIABLE: str(job.folder / FILE)},
        start_new_session=True,  # Ctrl-C is for us, who stop it in order
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    assert process.stdin is not None
    if test.file is None:
        process.stdin.write(job.encode().encode() + b"\n")
    return process


async def _followed(
    process: asyncio.subprocess.Process, events: Callable[[], Iterator[dict[str, Any]]], follow: Follow
) -> LabError | None:
    """Until its end; what it failed with."""
    failed: LabError | None = None
    ending = asyncio.create_task(process.wait())
    while True:
        done, _ = await asyncio.wait([ending], timeout=_POLL)
        for event in events():
            if event["event"] == "failed":
                failed = decode_error(event)
            follow(event)
        if done:
            return failed


async def _stopped(process: asyncio.subprocess.Process) -> None:
    """End it in order; returns once it is gone, whatever comes meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOPPING):
            await process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise


def _events(path: Path) -> Callable[[], Iterator[dict[str, Any]]]:
    """A function that gives the events written since it was last called: whole lines only."""
    position = 0

    def new() -> Iterator[dict[str, Any]]:
        nonlocal position
        if not path.is_file():
            return
        with path.open("rb") as file:
            file.seek(position)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                position += len(line)
                yield json.loads(line)

    return new


def _last(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_EVIDENCE:]
    return "\n".join(f"  | {line}" for line in lines) or "  | it wrote nothing"
