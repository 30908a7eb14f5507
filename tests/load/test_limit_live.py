"""What a search names on real servers where something is made the limit: a link, a server, the machine; or nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lab.load import preparing
from lab.load.job import Job
from lab.load.limiting import limiting_part
from lab.load.limits import Bounds
from lab.load.searching import Test as LoadTest
from lab.load.searching import Trials, find_limit_on, surroundings
from lab.runtime import lab as labs
from lab.runtime.handle import Lab
from lab.topology import files
from tests.runtime.helpers import pair

pytestmark = [pytest.mark.live, pytest.mark.alone]

#: Bytes a second and direction: about 140 messages.
NARROW = """
name: narrow
teaches: A link that carries little.
servers: {a: {}, b: {software: ejabberd}}
links: [{between: [a, b], rate: 160kbit/s}]
"""
LOAD = {"users": 4, "traffic": "neighbours", "seconds": 2.0, "warmup": 0.5}
#: Three runs: one that holds, one that misses by far, and the first once more.
QUICK = Bounds(p99=0.1, start=100, highest=190, precision=0.99)
CONTAINERS = pytest.param("containers", marks=pytest.mark.containers)


@contextlib.asynccontextmanager
async def up(topology: object, runtime: str) -> AsyncIterator[Lab]:
    lab = await labs.up(preparing.for_load(topology), runtime=runtime, owned=True)
    try:
        yield lab
    finally:
        await lab.down()


@pytest.mark.parametrize("runtime", ["processes", CONTAINERS])
async def test_a_narrow_link_is_named(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "narrow.yaml").write_text(NARROW)
    async with up(files.load(tmp_path / "narrow.yaml"), runtime) as lab:
        limit = await find_limit_on(lab, LOAD, QUICK, folder=tmp_path)
    assert limit.part in ("link a->b", "link b->a"), (limit.part, limit.why)
    assert (limit.rate, limit.confirmed) == (100, True)
    assert not any(trial.backlog for trial in limit.trials)
    assert len(list(tmp_path.glob("*/result.json"))) == len(limit.trials)


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
    assert limit.part == "server a", (limit.part, limit.why)
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
        trials = Trials(lab, job, LoadTest("neighbours"), tmp_path / "busy", lambda text: None)
        with hogs(2 * len(os.sched_getaffinity(0))):
            busy = await trials.measure(20, "constant")
    assert busy.around["machine"] >= 0.9 * len(os.sched_getaffinity(0))
    assert limiting_part(busy.result, surroundings(lab.plan), busy.around)[0] == "machine"


async def test_what_ejabberd_has_archived_is_forgotten_between_trials(tmp_path: Path) -> None:
    """It reads a person's archive for each message to them: the same load costs more each time, until it is emptied."""
    async with up(pair("ejabberd", "ejabberd"), "processes") as lab:
        asked = {**LOAD, "seconds": 3.0, "warmup": 0.0}
        trials = Trials(lab, Job(lab.name, asked, 1, None), LoadTest("neighbours"), tmp_path, lambda text: None)
        spent = []
        for trial in range(3):
            if trial == 2:
                await preparing.forget(lab, preparing.load_on(lab, asked))
            used = (await trials.measure(250, "constant")).result.used()
            spent.append(used["a"] + used["b"])
    assert spent[1] > 1.2 * spent[0], "archives made no difference: the test shows nothing"
    assert spent[2] < 0.8 * spent[1], spent
