"""Killed in every phase: the next sweep, `up` or `down` leaves nothing; an owned lab needs nobody to sweep it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.lifecycle import down, registry, runtimes, status
from lab.lifecycle.cleanup import sweep
from lab.network.lab_folder import is_service_running
from lab.plan.layout import Layout
from lab.runtime.build_cache import find_cache
from lab.runtime.processes.loopback import list_networks
from lab.servers.conventions import READY
from lab.system.processes import MARK
from tests.runtime.helpers import is_freed, left_of, pair, text_of, unique, until

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def begun(name: str, how: str = "stays") -> Iterator[subprocess.Popen[str]]:
    """A process of its own that brings the lab up and waits."""
    command = [sys.executable, "-m", "tests.lifecycle.up_and_wait", name, how]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module", autouse=True)
async def software() -> None:
    """The cache is filled before anything is timed or killed."""
    await runtimes.choose("processes").prepare(pair().servers, lambda text: None)


PHASES: dict[str, Callable[[Layout], object]] = {
    "folder made": lambda layout: layout.root.exists(),
    "record written": lambda layout: layout.state.exists(),
    "plan written": lambda layout: layout.plan.exists(),
    "service started": lambda layout: layout.service.exists(),
    "a server up": lambda layout: text_of(layout.server("a") / READY),
    "ready": lambda layout: '"ready"' in text_of(layout.state) and '"phase": "ready"' in text_of(layout.state),
}


@pytest.mark.parametrize("phase", [phase for phase in PHASES if phase != "ready"])
async def test_killed_while_it_comes_up(phase: str) -> None:
    name = unique("killed")
    with begun(name) as process:
        until(lambda: PHASES[phase](Layout.of(name)))
        process.kill()
        process.wait()
        await sweep(containers=False)
    assert left_of(name) == []


async def test_killed_once_it_is_up_it_stays_until_down() -> None:
    name = unique("stays")
    with begun(name) as process:
        until(lambda: PHASES["ready"](Layout.of(name)))
        process.kill()
        process.wait()
    await sweep(containers=False)
    assert (await registry.attach(name)).name == name
    assert await down.down(name) == name
    assert left_of(name) == []


@pytest.mark.parametrize("phase", ["service started", "ready"])
def test_an_owned_lab_dies_with_its_owner(phase: str) -> None:
    name = unique("owned")
    with begun(name, "owned") as process:
        until(lambda: PHASES[phase](Layout.of(name)))
        if phase == "service started":  # the service listens to its owner once it has started everything
            until(lambda: text_of(Layout.of(name).server("a") / READY))
        process.kill()
        process.wait()
        until(lambda: left_of(name) == [])


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A home of its own, with a short path: what is left behind there is not swept by other tests."""
    monkeypatch.setenv("XMPPLAB_CACHE", str(find_cache()))
    with tempfile.TemporaryDirectory(prefix="xl-") as folder:
        Path(folder).chmod(0o711)
        monkeypatch.setenv("XMPPLAB_HOME", folder)
        yield


@pytest.mark.usefixtures("home")
async def test_killed_service_makes_a_leftover() -> None:
    name = unique("orphan")
    with begun(name) as process:
        until(lambda: PHASES["ready"](Layout.of(name)))
        lab = await registry.attach(name)
        os.kill(json.loads(lab.layout.service.read_text())["pid"], signal.SIGKILL)
        until(lambda: left_of(name) == [str(lab.layout.root)])  # the servers died with it
        until(lambda: not is_service_running(lab.layout))
        (found,) = [one for one in await status.read_status() if one.name == name]
        assert (found.phase, found.ended[-1]) == ("broken", "service")
        lab.layout.plan.unlink()
        (found,) = await status.read_status()
        assert (found.phase, found.ended, found.plan) == ("broken", ("plan.json",), None)
        await sweep(containers=False)
        assert left_of(name) == []
        assert is_freed(lab.plan.facts.network)
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_the_command_cleans_up_itself(number: signal.Signals) -> None:
    name = unique("ended")
    words = [sys.executable, "-m", "lab.cli", "up", "pair", "--name", name, "--runtime", "processes"]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until(lambda: PHASES["service started"](Layout.of(name)))
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    assert left_of(name) == []


def sleeper(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], env={**os.environ, MARK: str(folder)})


async def test_a_stray_process_of_a_lab_that_is_gone() -> None:
    gone = Layout.of(unique("gone")).root
    stray, living = sleeper(gone), sleeper(ROOT)
    try:
        swept = await sweep(containers=False)
        assert any(str(stray.pid) in sentence for sentence in swept), swept
        assert stray.wait(30) == -signal.SIGKILL
        assert living.poll() is None
    finally:
        for process in (stray, living):
            process.kill()
            process.wait()


def test_there_are_slots_to_claim() -> None:
    assert len(list(list_networks())) == 40
