"""What a search for the highest rate names as the limit: a link, a server, the machine or the generator made to be one.

    python benchmarks/load_search.py

Beside the search stands what it relies on: the archive that an ejabberd reads for each message is emptied between two
trials, so that the second does not cost more than the first. What is measured depends on the machine being quiet.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from _load import ROOT, Aims, null_server

from lab.lifecycle import up as labs
from lab.lifecycle.lab import Lab
from lab.load.analysis.bottleneck import Capacities, find_bottleneck
from lab.load.capacity.search import Bounds, Measurement
from lab.load.capacity.trials import OtherUsage, TrialRunner, compute_capacities, find_limit_on
from lab.load.coordinator import provisioning
from lab.load.coordinator.coordinator import Coordinator, CoordinatorCommands
from lab.load.coordinator.preflight import LoadTest
from lab.load.coordinator.workers import WorkerPool
from lab.load.metrics.resources import ResourceSampler
from lab.load.model.job import Job
from lab.load.model.spec import Shard
from lab.runtime.agent_process import spawn_agent
from lab.runtime.protocol import Pipes
from lab.topology import files
from lab.topology.spec import Topology

#: Bytes a second and direction: about 140 messages.
NARROW = """
name: narrow
teaches: A link that carries little.
servers: {a: {}, b: {software: ejabberd}}
links: [{between: [a, b], rate: 160kbit/s}]
"""
#: A tick of 20 ms: a busy machine may hold the generator up by 80 ms before it counts as the limit.
LOAD: dict[str, Any] = {"users": 4, "traffic": "neighbours", "seconds": 2.0, "warmup": 0.5, "tick": 0.02}
#: Three runs: one that holds, one that misses by far, and the first once more.
QUICK = Bounds(p99=0.15, start=100, highest=190, precision=0.99)
CORES = len(os.sched_getaffinity(0))


@contextlib.asynccontextmanager
async def lab_of(topology: Topology, runtime: str) -> AsyncIterator[Lab]:
    """A lab that is up as loads want it."""
    lab = await labs.up(provisioning.adapt_topology(topology), runtime=runtime, owned=True)
    try:
        yield lab
    finally:
        await lab.down()


async def narrow_link(folder: Path) -> str:
    """What is named where a link carries little."""
    (folder / "narrow.yaml").write_text(NARROW)
    async with lab_of(files.load(folder / "narrow.yaml"), "processes") as lab:
        return (await find_limit_on(lab, LOAD, QUICK, folder=folder)).bottleneck


async def slow_server(folder: Path) -> str:
    """What is named where a server in a container has a twentieth of a core."""
    from lab.runtime.containers import engine

    async with lab_of(files.load("pair,software=prosody"), "containers") as lab:
        words = [
            "docker",
            "update",
            "--cpu-period",
            "100000",
            "--cpu-quota",
            "5000",
            engine.build_name(lab.layout, "a"),
        ]
        await asyncio.to_thread(subprocess.run, words, check=True, capture_output=True)
        bounds = Bounds(p99=0.5, start=200, lowest=200)
        return (await find_limit_on(lab, {**LOAD, "seconds": 3.0}, bounds, folder=folder)).bottleneck


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Somebody else's processes that take all they can get."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


def trials_on(lab: Lab, load: dict[str, Any], folder: Path) -> TrialRunner:
    """Single loads on a lab."""
    return TrialRunner(lab, Job(lab.name, load, 1, None), LoadTest("neighbours"), folder, lambda text: None)


async def nothing(folder: Path) -> str:
    """What is named where a rate is nothing to the servers."""
    async with lab_of(files.load("pair,software=prosody"), "processes") as lab:
        return (await find_limit_on(lab, LOAD, Bounds(p99=5.0, start=20, highest=20), folder=folder)).bottleneck


async def busy_machine(folder: Path) -> str:
    """What is named where others take the machine."""
    async with lab_of(files.load("pair,software=prosody"), "processes") as lab:
        with busy_loops(2 * CORES):
            busy: Measurement = await trials_on(lab, LOAD, folder).measure(20, "constant")
        return find_bottleneck(busy.result, compute_capacities(lab.plan), busy.other_cores)[0]


async def generator(folder: Path) -> str:
    """What is named where a worker is to write more than it can, to a server that does nothing."""
    around = OtherUsage()
    with null_server() as null:
        load = null.load("a", users=40, arrivals="400000/s", seconds=2.0, warmup=0.0, login_rate=1000.0)

        async def start() -> Pipes:
            return await spawn_agent([sys.executable, "-m", "lab.load.worker"], {"PYTHONPATH": str(ROOT)})

        async def watch(pool: WorkerPool) -> ResourceSampler:
            return ResourceSampler(None, {}, {worker.name: worker.pid or 0 for worker in pool.workers}, print)

        outcome = await Coordinator(load, [Shard()], start, around.take, CoordinatorCommands(), watch).run()
    # On two cores worker and server fill the machine; on one with room it is the worker alone that is late.
    return find_bottleneck(outcome.result, Capacities(cores=64), around.cores())[0]


async def archives(folder: Path) -> tuple[float, float]:
    """CPU of two ejabberds in a second equal load over the first, and in a third, after emptying, over the second.

    An ejabberd reads a person's archive for each message to them: the same load costs more until it is emptied.
    """
    async with lab_of(files.load("pair,software=ejabberd"), "processes") as lab:
        asked = {**LOAD, "seconds": 3.0, "warmup": 0.0}
        trials, spent = trials_on(lab, asked, folder), []
        for trial in range(3):
            if trial == 2:
                await provisioning.empty_archives(lab, provisioning.build_load(lab, asked))
            used = (await trials.measure(250, "constant")).result.used()
            spent.append(sum(used[one.spec.name] for one in lab.plan.servers))
    return spent[1] / spent[0], spent[2] / spent[1]


def main() -> int:
    """Print what was named in each case, and whether it is what was made the limit."""
    aims = Aims()
    with tempfile.TemporaryDirectory() as name:
        for case, expected in (
            (narrow_link, "link "),
            (slow_server, "server a"),
            (nothing, "none"),
            (busy_machine, "machine"),
            (generator, "generator"),
        ):
            folder = Path(name) / case.__name__
            folder.mkdir()
            part = asyncio.run(case(folder))
            aims.at_least(f"{case.__name__}: named {part}", float(part.startswith(expected)), 1)
        folder = Path(name) / "archives"
        folder.mkdir()
        more, less = asyncio.run(archives(folder))
        aims.at_least("CPU of servers with archives over that without", more, 1.2)
        aims.at_most("CPU after emptying them over that before", less, 0.8)
    return int(aims.missed > 0)


if __name__ == "__main__":
    sys.exit(main())
