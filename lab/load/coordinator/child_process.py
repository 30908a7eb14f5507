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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from lab.errors import LabError, PeerError, UserError, decode_error, naming
from lab.load.coordinator.preflight import LoadTest
from lab.load.metrics.run_folder import RESULT, SAMPLES, LoadRecord, read
from lab.load.model.job import FILE, VARIABLE, Job
from lab.load.worker.engine import DRAIN_TIMEOUT
from lab.runner.folders import PAGE, REPORT, write
from lab.system.processes import die_with_parent
from lab.system.subprocesses import build_python_command

#: The child's own output: Locust's tables, and errors.
LOG = "output.log"
_POLL = 0.1  # seconds between two looks for events
_STOP_TIMEOUT = DRAIN_TIMEOUT + 20.0  # seconds: the drain, logging out, the result
_SPACE = 1 << 20  # bytes: more than the page of a short load
_EVIDENCE = 12  # last lines of the log that an error quotes

OnEvent = Callable[[dict[str, Any]], None]


async def run_in_child(job: Job, test: LoadTest, on_event: OnEvent, more: Sequence[str] = ()) -> LoadRecord:
    """Run a job; its folder as it was written. `job.folder` must exist; `more` are arguments for Locust.

    Raises the load's error; UserError for a file without traffic, PeerError if the child ended without a result. If
    it is cancelled, it stops the load first, and the folder is complete then.
    """
    assert job.folder is not None
    write(job.folder / FILE, job.encode() + "\n")
    with (job.folder / LOG).open("wb") as log:
        process = await _start(job, test, log, more)
    try:
        failed = await _read_events(process, _new_events(job.folder / SAMPLES), on_event)
    except BaseException:
        await _stop(process)
        raise
    if failed is not None:
        raise failed
    made = (RESULT, REPORT, PAGE) if job.page else (RESULT, REPORT)
    missing = [name for name in made if not (job.folder / name).is_file()]
    if missing:
        _check_disk(job.folder)
        if process.returncode == 0 and not (job.folder / SAMPLES).is_file():
            raise UserError(f"{test.file}: has tasks and no traffic: run it with `locust -f` while this lab is up")
        lacks = "a result" if RESULT in missing else missing[0]
        raise PeerError(f"{test.name} ended ({process.returncode}) without {lacks}:\n{_last_lines(job.folder / LOG)}")
    return read(job.folder)


async def _start(job: Job, test: LoadTest, log: IO[bytes], more: Sequence[str]) -> asyncio.subprocess.Process:
    assert job.folder is not None
    if test.file is None:
        words = build_python_command("lab.load")
    else:
        words = build_python_command("locust", "-f", str(test.file), "--headless", "--only-summary", *more)
        words += ["-u", str(job.load["users"]), "-t", f"{math.ceil(job.load['seconds'])}s"]
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL if test.file is None else log,
        stderr=log,
        env={**os.environ, VARIABLE: str(job.folder / FILE)},
        start_new_session=True,  # Ctrl-C stops this process, which stops the child in order
        preexec_fn=die_with_parent(signal.SIGTERM),
    )
    assert process.stdin is not None
    if test.file is None:
        process.stdin.write(job.encode().encode() + b"\n")
    return process


async def _read_events(
    process: asyncio.subprocess.Process, new_events: Callable[[], Iterator[dict[str, Any]]], on_event: OnEvent
) -> LabError | None:
    """Pass events on until the child ends; the error that it failed with."""
    failed: LabError | None = None
    ending = asyncio.create_task(process.wait())
    while True:
        done, _ = await asyncio.wait([ending], timeout=_POLL)
        for event in new_events():
            if event["event"] == "failed":
                failed = decode_error(event)
            on_event(event)
        if done:
            return failed


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Stop the child in order; returns once it has ended, even if this is cancelled."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT):
            await process.wait()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise


def _new_events(path: Path) -> Callable[[], Iterator[dict[str, Any]]]:
    """A function that returns the events written since its last call: whole lines only."""
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


def _check_disk(folder: Path) -> None:
    """Raises OSError if the disk is full: then the child could not write its error into this folder, either."""
    probe = folder / ".space"
    try:
        with naming(folder):
            probe.write_bytes(bytes(_SPACE))
    finally:
        probe.unlink(missing_ok=True)


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_EVIDENCE:]
    return "\n".join(f"  | {line}" for line in lines) or "  | it wrote nothing"
