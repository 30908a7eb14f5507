"""Loads in Locust where the lab is containers: the generator's workers are containers on the lab's network, too."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import docker
import pytest

from lab.lifecycle.lab import Lab
from lab.runtime.containers import engine as eng
from tests.locust.locust_process import LOAD, a_pair, argv, counts, processes, requests, running, until, whole

pytestmark = [pytest.mark.live, pytest.mark.containers]


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    """Two servers with a direct link, in containers."""
    async with a_pair("containers") as made:
        yield made
        until(lambda: not generators(made))


def generators(lab: Lab) -> list[str]:
    """The networks of the lab's containers that a load started."""
    with contextlib.closing(docker.from_env()) as client:
        label = [*eng.build_filters(lab.layout)["label"], f"{eng.ROLE}=agent"]
        found = client.containers.list(filters={"label": label}, ignore_removed=True)
        return [network for one in found for network in one.attrs["NetworkSettings"]["Networks"]]


@pytest.mark.parametrize(
    "forked", [pytest.param(False, id="generators"), pytest.param(True, id="processes", marks=pytest.mark.slow)]
)
def test_workers_are_containers_and_the_run_is_whole(lab: Lab, tmp_path: Path, forked: bool) -> None:
    more = processes() if forked else ("--generators", "2")
    asked = ("--headless", *LOAD, "--runs", f"{tmp_path}/runs", "--json-file", f"{tmp_path}/c", *more)
    with running(argv(lab, "federation", *asked)) as process:
        until(lambda: len(generators(lab)) == 2)
        assert {*generators(lab)} == {eng.build_name(lab.layout)}
        assert process.wait(60) == 0
    assert whole(tmp_path / "runs", requests(tmp_path / "c.json")).result.total.received == 200
    assert generators(lab) == []


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        signal.SIGKILL,
    ],
)
def test_no_container_is_left(lab: Lab, tmp_path: Path, number: signal.Signals) -> None:
    samples = tmp_path / "runs" / "latest" / "samples.jsonl"
    asked = ("--headless", "-u", "6", "--warmup", "0", "--runs", f"{tmp_path}/runs", "--json-file", f"{tmp_path}/c")
    with running(argv(lab, "federation", *asked)) as process:
        until(lambda: '"sample"' in samples.read_text(), samples.exists)
        process.send_signal(number)
        process.wait(60)
        until(lambda: not generators(lab))
    if number != signal.SIGKILL:
        whole(tmp_path / "runs", requests(tmp_path / "c.json"))


@pytest.mark.slow
def test_people_with_tasks_of_their_own(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(
        "from locust import constant_pacing, task\nfrom lab.locust import XmppUser\n\n\nclass Own(XmppUser):\n"
        "    wait_time = constant_pacing(0.2)\n\n    @task\n    def write(self):\n"
        '        assert self.client.send(self.client.somebody(), "hello").outcome()\n'
    )
    stats = tmp_path / "o_stats.csv"
    with running(argv(lab, file, "--headless", "-u", "4", "--csv", f"{tmp_path}/o")) as process:
        until(lambda: counts(stats).get("Aggregated", 0) > 5, stats.exists)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert generators(lab) == []
