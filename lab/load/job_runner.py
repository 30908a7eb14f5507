"""A load on a lab that is up, conducted by a process of its own: `python -m lab.load`.

A job and orders come in as JSON Lines, events go out; docs/load-coordinator.md has both. It is a process of its own so
that Locust's gevent never meets asyncio, and so that the result is written whoever is killed around it: when the input
ends or a signal comes, the load stops early and what was measured is told and kept.
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
from lab.load.coordinator import provisioning as preparing
from lab.load.coordinator.coordinator import Conductor, Orders
from lab.load.coordinator.workers import Crew
from lab.load.metrics.cpu import CpuPinning, pinning_text, split_cores
from lab.load.metrics.resources import ResourceSampler
from lab.load.metrics.run_folder import LoadOutcome, RunWriter, read
from lab.load.model.job import Job
from lab.load.report.text import render
from lab.runner.folders import REPORT, write
from lab.runtime.protocol import Pipes

#: The worker's module, which runs where the lab's network is.
WORKER = "lab.load.worker"
Tell = Callable[[dict[str, Any]], None]


async def conduct(job: Job, orders: Orders, tell: Tell) -> LoadOutcome:
    """Carry a job out. Raises UserError for what cannot be, MissingError, PeerError."""
    from lab.lifecycle.registry import attach

    if job.pin and job.part.of > 1:
        raise UserError("several conductors would pin to the same cores: pin with one of them only")
    cores = split_cores(job.workers) if job.pin else None
    lab = await attach(job.lab)
    load = preparing.load_on(lab, job.load)
    for text in preparing.remarks(lab.plan):
        tell({"event": "note", "text": text})
    tell({"event": "progress", "text": f"making accounts for {load.users} users"})
    await preparing.make_accounts(lab, load)
    await preparing.make_rosters(lab, load)
    pinning = CpuPinning()
    servers = {name: one.pid for name, one in (await lab.states()).items() if one.pid is not None}

    async def watch(crew: Crew) -> ResourceSampler:
        generators = {worker.name: worker.pid for worker in crew.workers if worker.pid is not None}
        if cores is not None:
            services = await lab.runtime.service_pid(lab.layout)
            _pin(pinning, cores, [*servers.values(), *([] if services is None else [services])], generators)
            tell({"event": "note", "text": pinning_text(servers, cores)})
        note: Callable[[str], None] = lambda text: tell({"event": "note", "text": text})  # noqa: E731
        return watch_of(job, lab, servers, generators, note)

    tell({"event": "progress", "text": f"starting {job.workers} workers"})
    try:
        outcome = await Conductor(load, job.shards(), lambda: _worker(lab), tell, orders, watch).run()
    except PeerError as error:
        if not preparing.is_down(lab):
            raise
        raise PeerError(f"{_taken_down(lab)}: {error}") from error
    finally:
        pinning.restore()
    return replace(outcome, interrupted=_taken_down(lab)) if outcome.interrupted and preparing.is_down(lab) else outcome


def watch_of(
    job: Job, lab: Lab, servers: dict[str, int], generators: dict[str, int], note: Callable[[str], None]
) -> ResourceSampler:
    """What a conductor meters: its own generators, and the first of several for all what all of them use."""
    first = job.part.index == 0
    return ResourceSampler(lab if first else None, servers if first else {}, generators, note)


def _taken_down(lab: Lab) -> str:
    return f"the lab {lab.name} went down"


async def _worker(lab: Lab) -> Pipes:
    return await lab.agent(module=WORKER)


def _pin(
    pinning: CpuPinning, cores: tuple[list[int], list[int]], servers: list[int], generators: dict[str, int]
) -> None:
    for pid in servers:
        pinning.pin(pid, cores[0])
    for pid, core in zip(generators.values(), cores[1], strict=True):
        pinning.pin(pid, [core])


async def listen(reader: asyncio.StreamReader, orders: Orders, tell: Tell, *, shared: bool = False) -> None:
    """Obey orders until the end of input, which means stop; at once where others have parts of the load (`shared`)."""
    while line := await reader.readline():
        try:
            order: dict[str, Any] = json.loads(line)
            at = _start(order)
        except (ValueError, TypeError, AttributeError) as error:
            tell({"event": "note", "text": f"not an order: {line[:200].decode(errors='replace')!r}: {error}"})
            continue
        if {"go", "go_ns"} & {*order} and not orders.go.done():
            orders.go.set_result(at)
        if order.get("drained"):
            orders.drained.set()
        if order.get("stop"):
            orders.stop("it was told to stop")
    orders.stop("whoever asked for it has gone")
    if shared:
        orders.drained.set()  # nobody is left who could say it


def _start(order: dict[str, Any]) -> int | None:
    """The moment of an order to go, in ns of CLOCK_MONOTONIC; None for at once. Raises TypeError."""
    precise, epoch = order.get("go_ns"), order.get("go")
    if not isinstance(precise, int | None) or not isinstance(epoch, int | float | None):
        raise TypeError("go needs a time")
    if precise is None and epoch is not None:
        precise = time.perf_counter_ns() + int((epoch - time.time()) * 1e9)
    return precise


def finish(writer: RunWriter, job: Job, outcome: LoadOutcome) -> dict[str, Any]:
    """Keep what came of a load, with its report, and its page if the job asks for one; the "result" event."""
    event = writer.finish(outcome)
    if job.folder is not None:
        write(job.folder / REPORT, render(read(job.folder)))
        if job.page:
            from lab.load.report.html.load_page import write_page

            write_page(job.folder)
    return event


async def main() -> int:
    """Read a job, carry it out; 0, or 1 if it failed."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        job = Job.decode((await reader.readline()).decode())
        if job.folder is not None and not job.folder.is_dir():
            raise UserError(f"{job.folder}: the folder of the run is not there")
    except LabError as error:
        _say(json.dumps(encode_event(error)))
        return 1
    with RunWriter(job) as writer:

        def tell(event: dict[str, Any]) -> None:
            line = json.dumps(event, separators=(",", ":"))
            writer.write_event(line, event)
            _say(line)

        orders = Orders(job.hold)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, orders.stop, f"ended by {number.name}")
        listening = asyncio.create_task(listen(reader, orders, tell, shared=job.part.of > 1))
        try:
            tell(finish(writer, job, await conduct(job, orders, tell)))
        except LabError as error:
            tell(encode_event(error))
            return 1
        finally:
            listening.cancel()
    return 0


def _say(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # who asked is gone; the folder still gets it
        print(line, flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
