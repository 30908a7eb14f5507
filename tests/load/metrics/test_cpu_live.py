"""`--pin`: while a load runs servers, relays and workers are where its report says, and afterwards where they were."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from lab.lifecycle import up as labs
from lab.load.coordinator import provisioning
from lab.load.coordinator.child_process import run_in_child
from lab.load.coordinator.preflight import LoadTest
from lab.load.metrics.cpu import split_cores
from lab.load.metrics.resources import _children, _descendants
from lab.load.model.job import Job
from tests.runtime.helpers import pair
from tests.runtimes import PROCESSES, SLOW_CONTAINERS

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="pinning needs two cores at least"),
]

LOAD = {"users": 4, "traffic": "neighbours", "arrivals": "20/s", "seconds": 2.0, "warmup": 0.0}


def _allowed(pid: int) -> set[str]:
    """Cores of a process's threads and those of its children, as the kernel has them."""
    found = set()
    for one in _descendants([pid], _children()):
        for status in Path(f"/proc/{one}/task").glob("*/status"):
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            found.add(lines["Cpus_allowed_list"].strip())
    return found


def _workers() -> list[int]:
    """Of this process's loads."""
    below = _descendants([os.getpid()], _children())
    return [pid for pid in below if b"lab.load.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.parametrize("runtime", [PROCESSES, SLOW_CONTAINERS])
async def test_everything_is_where_it_is_said_to_be(tmp_path: Path, runtime: str) -> None:
    shared, own = split_cores(1)
    theirs = ",".join(map(str, shared)) if len(shared) < 3 else f"{shared[0]}-{shared[-1]}"
    lab = await labs.up(provisioning.adapt_topology(pair("prosody", "ejabberd")), runtime=runtime, owned=True)
    try:
        pids = {name: one.pid for name, one in (await lab.read_states()).items()}
        pids["services"] = await lab.runtime.find_service_pid(lab.layout)
        before = {name: _allowed(pid) for name, pid in pids.items()}
        seen: dict[str, set[str]] = {}

        def follow(event: dict[str, object]) -> None:
            if event["event"] == "sample" and not seen:  # the last ones are told when all is over
                seen.update({name: _allowed(pid) for name, pid in pids.items()})
                if runtime == "processes":
                    seen["worker"] = set().union(*map(_allowed, _workers()))

        kept = await run_in_child(Job(lab.name, LOAD, 1, tmp_path, pin=True), LoadTest("neighbours"), follow)
        assert {name: cores for name, cores in seen.items() if name != "worker"} == {name: {theirs} for name in pids}
        assert seen.get("worker", {str(own[0])}) == {str(own[0])}
        await asyncio.sleep(0)
        assert {name: _allowed(pid) for name, pid in pids.items()} == before
    finally:
        await lab.down()
    said = [text for text in kept.remarks if text.startswith("pinned: ")]
    several = f"core{'s' * (len(shared) > 1)} {', '.join(map(str, shared))}"
    assert said == [
        f"pinned: a, b and the lab's relays and names share {several}; worker 0 has core {own[0]}; "
        "the coordinator is not pinned"
    ]
