"""Runs a load job on a lab that is up, as a process: `python -m lab.load`.

A job and commands are read as JSON Lines, events are written; docs/load-coordinator.md describes both. It is a process
of its own so that Locust's gevent and asyncio never meet, and so that the result is written whichever process around it
is killed: when the input ends or a signal is received, the load stops early, and what was measured is reported and
written.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lab.errors import LabError, PeerError, UserError, encode_event
from lab.lifecycle.lab import Lab
from lab.load.coordinator import provisioning
from lab.load.coordinator.coordinator import Coordinator, CoordinatorCommands, Emit
from lab.load.coordinator.workers import WorkerPool
from lab.load.metrics.cpu import CpuPinning, describe_pinning, split_cores
from lab.load.metrics.resources import ResourceSampler
from lab.load.metrics.run_folder import LoadOutcome, RunWriter, read
from lab.load.model.job import Job
from lab.load.report.text import render
from lab.runner.folders import REPORT, write
from lab.runtime.protocol import Pipes

#: The worker's module, which runs on the lab's network.
WORKER = "lab.load.worker"


async def run_job(job: Job, commands: CoordinatorCommands, emit: Emit) -> LoadOutcome:
    """Run a job, with its events to `emit`.

    Raises UserError for a job that makes no sense, MissingError if this machine lacks something, PeerError if a server
    or worker fails before the start.
    """
    from lab.lifecycle.registry import attach

    if job.pin and job.shard.of > 1:
        raise UserError("several coordinators would pin to the same cores: pin with only one of them")
    cores = split_cores(job.workers) if job.pin else None
    lab = await attach(job.lab)
    load = provisioning.build_load(lab, job.load)
    load = replace(load, libraries=await lab.find_libraries(load.encryption) or "")
    for text in provisioning.list_remarks(lab.plan):
        emit({"event": "note", "text": text})
    emit({"event": "progress", "text": f"making accounts for {load.users} users"})
    await provisioning.make_accounts(lab, load)
    await provisioning.make_rosters(lab, load)
    pinning = CpuPinning()
    servers = {name: one.pid for name, one in (await lab.read_states()).items() if one.pid is not None}

    async def make_sampler(pool: WorkerPool) -> ResourceSampler:
        generators = {worker.name: worker.pid for worker in pool.workers if worker.pid is not None}
        if cores is not None:
            services = await lab.runtime.find_service_pid(lab.layout)
            _pin(pinning, cores, [*servers.values(), *([] if services is None else [services])], generators)
            emit({"event": "note", "text": describe_pinning(servers, cores)})
        note: Callable[[str], None] = lambda text: emit({"event": "note", "text": text})  # noqa: E731
        return build_sampler(job, lab, servers, generators, note)

    emit({"event": "progress", "text": f"starting {job.workers} workers"})
    try:
        outcome = await Coordinator(
            load, job.list_shards(), lambda: _start_worker(lab), emit, commands, make_sampler
        ).run()
    except PeerError as error:
        if not provisioning.is_down(lab):
            raise
        raise PeerError(f"{_taken_down(lab)}: {error}") from error
    finally:
        pinning.restore()
    return (
        replace(outcome, interrupted=_taken_down(lab)) if outcome.interrupted and provisioning.is_down(lab) else outcome
    )


def build_sampler(
    job: Job, lab: Lab, servers: dict[str, int], generators: dict[str, int], note: Callable[[str], None]
) -> ResourceSampler:
    """The sampler of one coordinator: its own generators, and in the first of several also servers and links."""
    first = job.shard.index == 0
    return ResourceSampler(lab if first else None, servers if first else {}, generators, note)


def _taken_down(lab: Lab) -> str:
    return f"the lab {lab.name} is no longer up"


async def _start_worker(lab: Lab) -> Pipes:
    return await lab.start_agent(module=WORKER)


def _pin(
    pinning: CpuPinning, cores: tuple[list[int], list[int]], servers: list[int], generators: dict[str, int]
) -> None:
    for pid in servers:
        pinning.pin(pid, cores[0])
    for pid, core in zip(generators.values(), cores[1], strict=True):
        pinning.pin(pid, [core])


async def read_commands(
    reader: asyncio.StreamReader, commands: CoordinatorCommands, emit: Emit, *, shared: bool = False
) -> None:
    """Handle commands until the end of input, which means stop. With `shared`, others have parts of the load."""
    while line := await reader.readline():
        try:
            command: dict[str, Any] = json.loads(line)
            at = _start_time(command)
        except (ValueError, TypeError, AttributeError) as error:
            emit({"event": "note", "text": f"not a command: {line[:200].decode(errors='replace')!r}: {error}"})
            continue
        if {"go", "go_ns"} & {*command} and not commands.start.done():
            commands.start.set_result(at)
        if command.get("drained"):
            commands.drained.set()
        if command.get("stop"):
            commands.stop("it received the command to stop")
    commands.stop("the program that started it has ended")
    if shared:
        commands.drained.set()  # nobody is left who could send it


def _start_time(command: dict[str, Any]) -> int | None:
    """The time of a start command in ns of CLOCK_MONOTONIC; None for as soon as possible. Raises TypeError."""
    precise, epoch = command.get("go_ns"), command.get("go")
    if not isinstance(precise, int | None) or not isinstance(epoch, int | float | None):
        raise TypeError("go needs a time")
    if precise is None and epoch is not None:
        precise = time.perf_counter_ns() + int((epoch - time.time()) * 1e9)
    return precise


def finish_run(writer: RunWriter, job: Job, outcome: LoadOutcome) -> dict[str, Any]:
    """Write the result of a load, its report, and its page if the job asks for one; the "result" event."""
    event = writer.finish(outcome)
    if job.folder is not None:
        write(job.folder / REPORT, render(read(job.folder)))
        if job.page:
            from lab.load.report.html.load_page import write_page

            write_page(job.folder)
    return event


async def main() -> int:
    """Read a job and run it; the exit status, 0, or 1 if it failed."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        job = Job.decode((await reader.readline()).decode())
        if job.folder is not None and not job.folder.is_dir():
            raise UserError(f"{job.folder}: the folder of the run is not there")
    except LabError as error:
        _print(json.dumps(encode_event(error)))
        return 1
    with RunWriter(job) as writer:

        def emit(event: dict[str, Any]) -> None:
            line = json.dumps(event, separators=(",", ":"))
            writer.write_event(line, event)
            _print(line)

        commands = CoordinatorCommands(job.hold)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, commands.stop, f"ended by {number.name}")
        reading = asyncio.create_task(read_commands(reader, commands, emit, shared=job.shard.of > 1))
        try:
            emit(finish_run(writer, job, await run_job(job, commands, emit)))
        except LabError as error:
            emit(encode_event(error))
            return 1
        finally:
            reading.cancel()
    return 0


def _print(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # the reader is gone; the folder still gets it
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
