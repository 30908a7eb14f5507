"""What a search names where something is made the limit: a link, a server, the machine, the generator; or nothing."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lab.lifecycle import up as labs
from lab.lifecycle.lab import Lab
from lab.load.analysis.bottleneck import Capacities, find_bottleneck
from lab.load.capacity.search import Bounds
from lab.load.capacity.trials import OtherUsage, TrialRunner, capacities_of, find_limit_on
from lab.load.coordinator import provisioning as preparing
from lab.load.coordinator.coordinator import Conductor, Orders
from lab.load.coordinator.workers import Crew
from lab.load.metrics.watching import Watch
from lab.load.model.job import Job
from lab.load.model.spec import Shard
from lab.load.workload.preflight import LoadTest
from lab.runtime.agent_process import spawn_agent
from lab.runtime.protocol import Pipes
from lab.topology import files
from tests.load.null_server.launch import ROOT, null_server
from tests.runtime.helpers import pair

pytestmark = [pytest.mark.live, pytest.mark.alone]

#: Bytes a second and direction: about 140 messages.
NARROW = """
name: narrow
teaches: A link that carries little.
servers: {a: {}, b: {software: ejabberd}}
links: [{between: [a, b], rate: 160kbit/s}]
"""
#: A tick of 20 ms: a busy machine may hold the generator up by 80 ms before it counts as the limit.
LOAD = {"users": 4, "traffic": "neighbours", "seconds": 2.0, "warmup": 0.5, "tick": 0.02}
#: Three runs: one that holds, one that misses by far, and the first once more.
QUICK = Bounds(p99=0.15, start=100, highest=190, precision=0.99)


@contextlib.asynccontextmanager
async def up(topology: object, runtime: str) -> AsyncIterator[Lab]:
    lab = await labs.up(preparing.for_load(topology), runtime=runtime, owned=True)
    try:
        yield lab
    finally:
        await lab.down()


@pytest.mark.containers
async def test_a_narrow_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "narrow.yaml").write_text(NARROW)
    async with up(files.load(tmp_path / "narrow.yaml"), "containers") as lab:
        limit = await find_limit_on(lab, LOAD, QUICK, folder=tmp_path)
    assert limit.bottleneck in ("link a->b", "link b->a"), (limit.bottleneck, limit.why)
    assert (limit.rate, limit.confirmed) == (100, True)
    assert not any(trial.backlog for trial in limit.trials)
    assert len(list(tmp_path.glob("*/result.json"))) == len(limit.trials)


def test_the_verb_finds_the_limit_of_a_narrow_link(tmp_path: Path) -> None:
    (tmp_path / "narrow.yaml").write_text(NARROW)
    words = ["load", "neighbours", "-t", "narrow.yaml", "-u", "4", "-r", "100/s", "--for", "1s", "--warmup", "0s"]
    words += ["--runtime", "processes", "--find-limit", "p99=200ms,loss=0", "-f", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "lab.cli", *words], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert 0 < told["rate"] < 500
    assert told["part"] in ("link a->b", "link b->a"), told
    assert not any(trial["backlog"] for trial in told["trials"]), told
    assert len(list((tmp_path / told["folder"]).glob("*/result.json"))) == len(told["trials"])


@pytest.mark.containers
async def test_a_server_with_a_twentieth_of_a_core_is_named(tmp_path: Path) -> None:
    import docker

    from lab.runtime.containers import engine as eng

    async with up(pair("prosody", "prosody"), "containers") as lab:
        client = docker.from_env()
        client.containers.get(eng.name(lab.layout, "a")).update(cpu_period=100_000, cpu_quota=5_000)
        client.close()
        bounds = Bounds(p99=0.5, start=200, lowest=200)
        limit = await find_limit_on(lab, {**LOAD, "seconds": 3.0}, bounds, folder=tmp_path)
    assert limit.bottleneck == "server a", (limit.bottleneck, limit.why)
    assert "of what it can use" in limit.why


@contextlib.contextmanager
def hogs(count: int) -> Iterator[None]:
    """Somebody else's processes that take all they can get."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in running:
            one.kill()
            one.wait()


async def test_nothing_and_the_machine_are_named(tmp_path: Path) -> None:
    """A rate that is nothing to the servers holds; then others take the machine, and that is seen."""
    async with up(pair("prosody", "prosody"), "processes") as lab:
        idle = await find_limit_on(lab, LOAD, Bounds(p99=5.0, start=20, highest=20), folder=tmp_path)
        assert (idle.rate, idle.confirmed, idle.part) == (20, True, "none")
        job = Job(lab.name, LOAD, 1, None)
        (tmp_path / "busy").mkdir()
        trials = TrialRunner(lab, job, LoadTest("neighbours"), tmp_path / "busy", lambda text: None)
        with hogs(2 * len(os.sched_getaffinity(0))):
            busy = await trials.measure(20, "constant")
    assert busy.other_cores["machine"] >= 0.9 * len(os.sched_getaffinity(0))
    assert find_bottleneck(busy.result, capacities_of(lab.plan), busy.other_cores)[0] == "machine"


async def test_what_ejabberd_has_archived_is_forgotten_between_trials(tmp_path: Path) -> None:
    """It reads a person's archive for each message to them: the same load costs more each time, until it is emptied."""
    async with up(pair("ejabberd", "ejabberd"), "processes") as lab:
        asked = {**LOAD, "seconds": 3.0, "warmup": 0.0}
        trials = TrialRunner(lab, Job(lab.name, asked, 1, None), LoadTest("neighbours"), tmp_path, lambda text: None)
        spent = []
        for trial in range(3):
            if trial == 2:
                await preparing.forget(lab, preparing.load_on(lab, asked))
            used = (await trials.measure(250, "constant")).result.used()
            spent.append(used["a"] + used["b"])
    assert spent[1] > 1.2 * spent[0], "archives made no difference: the test shows nothing"
    assert spent[2] < 0.8 * spent[1], spent


async def test_a_generator_that_is_asked_for_more_than_it_can_is_named() -> None:
    """A real worker before a server that does nothing: what it cannot write is not the server's fault."""
    told, around = [], OtherUsage()
    with null_server() as null:
        load = null.load("a", users=40, arrivals="400000/s", seconds=0.5, warmup=0.0, login_rate=1000.0)

        async def start() -> Pipes:
            return await spawn_agent([sys.executable, "-m", "lab.load.worker.process"], {"PYTHONPATH": str(ROOT)})

        async def watch(crew: Crew) -> Watch:
            return Watch(None, {}, {worker.name: worker.pid for worker in crew.workers}, told.append)

        outcome = await Conductor(load, [Shard()], start, around.take, Orders(), watch).run()
    # On two cores worker and server fill the machine; on one with room it is the worker alone that is late.
    part, why = find_bottleneck(outcome.result, Capacities(cores=64), around.cores())
    assert part == "generator", why
    assert "take more workers" in why
