"""One load from request to result: a lab, the load on it in a child process, the folder of its run.

A lab of its own is started for the load, because its links are direct and its servers report nothing; it ends when the
load has ended. With a name the load runs on that lab as it is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lab.lifecycle.lab import Lab, require_libraries
from lab.lifecycle.registry import attach
from lab.lifecycle.runtimes import choose
from lab.lifecycle.up import up
from lab.load.coordinator.child_process import run_in_child
from lab.load.coordinator.progress import ProgressPrinter
from lab.load.load_faults import LoadFaults
from lab.load.load_request import LoadRequest
from lab.load.metrics.run_folder import RESULT, LoadRecord, read
from lab.load.model.job import Job
from lab.plan import files
from lab.runner import folders
from lab.topology.spec import Topology

Progress = Callable[[str], None]
OnResult = Callable[[LoadRecord], None]


async def run_load(request: LoadRequest, progress: Progress, on_result: OnResult) -> LoadRecord:
    """Run a load that was asked for, on a lab of its own or on the one that it names.

    `on_result` is called with the result, also with that of a load that was interrupted. Raises UserError,
    MissingError, NotReady if the lab does not become ready, PeerError if the load failed.
    """
    async with lab_for(request, progress) as lab:
        return await run_load_on(request, lab, progress, on_result)


@asynccontextmanager
async def lab_for(request: LoadRequest, progress: Progress) -> AsyncIterator[Lab]:
    """The lab of a request for the length of the block. Raises UserError, MissingError, NotReady."""
    if request.topology is not None:
        await require_libraries(choose(request.runtime), [request.encryption])
        async with temporary_lab(request.topology, request.runtime, progress) as lab:
            yield lab
    else:
        lab = await attach(request.lab)
        request.check(lab.plan.topology)
        await require_libraries(lab.runtime, [request.encryption])
        yield lab


@asynccontextmanager
async def temporary_lab(topology: Topology, runtime: str, progress: Progress) -> AsyncIterator[Lab]:
    """A lab that is up for the length of the block."""
    lab = await up(topology, runtime=runtime, owned=True, progress=progress)
    try:
        yield lab
    finally:
        await lab.down()


async def run_load_on(request: LoadRequest, lab: Lab, progress: Progress, on_result: OnResult) -> LoadRecord:
    """Run a load on a lab that is up, in a new folder below `request.runs`. See `run_load`."""
    folder = folders.make(request.runs, request.test.name, lab.plan.topology.name)
    try:
        record = await measure(request, lab, folder, request.load, progress)
    except BaseException:
        if (folder / RESULT).is_file():  # the load was interrupted, and has a result until then
            on_result(read(folder))
        raise
    on_result(record)
    return record


async def measure(
    request: LoadRequest, lab: Lab, folder: Path, load: Mapping[str, Any], progress: Progress
) -> LoadRecord:
    """Run the load `load` (fields as in a job) on a lab; `folder`, which must exist, then has plan, job and result."""
    folders.write(folder / folders.PLAN, files.dump(lab.plan))
    faults = lab.plan.topology.faults if request.faults is None else request.faults
    fields = {**load, "due_times": True} if faults else load
    job = Job(
        lab.name, fields, request.workers, folder.absolute(), request.pin, name=request.test.name, bounds=request.bounds
    )
    more = ["--rate", request.rate] if request.rate is not None and "arrivals" not in load else []
    printer = ProgressPrinter(progress)

    def on_event(event: dict[str, Any]) -> None:
        printer(event)
        acting.on_event(event)

    acting = LoadFaults(lab, faults, folder)
    try:
        async with acting:
            await run_in_child(job, request.test, on_event, more)
    finally:
        acting.finish()
    return read(folder)
