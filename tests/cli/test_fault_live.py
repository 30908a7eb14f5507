"""Faults and servers through the verbs, on a lab that is up, and a run that is killed while its faults act."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.lifecycle.registry import attach
from lab.lifecycle.stream_probe import find_certificate

pytestmark = pytest.mark.live

XMPPLAB = [sys.executable, "-m", "lab.cli"]
DEADLINE = 180  # seconds: the first use on a machine fetches and unpacks the servers' packages
TOPOLOGY = "pair,latency=1ms"  # not that of other tests: they would take a lab that is up, and wait for its faults
POLL = 0.1  # seconds between two looks


@pytest.fixture(scope="module")
def name(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A lab that is up, made by `up`."""
    name = f"fault-{secrets.token_hex(3)}"
    done = xmpplab("up", TOPOLOGY, "--name", name, "--runtime", "processes")
    assert done.returncode == 0, done.stderr
    yield name
    xmpplab("down", name)


def xmpplab(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*XMPPLAB, *words], cwd=folder, capture_output=True, text=True, timeout=DEADLINE)


def fault(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return xmpplab("fault", *words, "--name", name)


def active(name: str) -> dict[str, dict[str, Any]]:
    """What `fault list` tells, by the faults' names."""
    return {row["name"]: row for row in json.loads(fault(name, "list", "-f", "json").stdout)}


def running(name: str) -> dict[str, int | None]:
    """The pid of each server, None of one that does not run, as `status` tells."""
    rows = json.loads(xmpplab("status", name, "-f", "json").stdout)
    return {row["server"]: row["pid"] if row["running"] else None for row in rows}


def wait_until(holds: Callable[[], bool], evidence: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, evidence()
        time.sleep(POLL)


def test_faults_are_added_listed_and_healed(name: str) -> None:
    done = fault(name, "add", "conditions", "a", "b", "--delay", "80ms", "--direction", "to")
    assert done.returncode == 0 and "conditions acts until it is healed" in done.stdout, done.stderr
    done = fault(name, "add", "partition", "a", "b", "--how", "silent", "--as", "storm")
    assert done.returncode == 0, done.stderr
    found = active(name)
    assert {one: (row["action"], row["acts"], row["targets"]) for one, row in found.items()} == {
        "conditions": ("conditions", "yes", "a b"),
        "storm": ("partition", "yes", "a b, b a"),
    }
    assert fault(name, "add", "partition", "a", "--as", "storm").returncode == 64, "there is one of that name"
    assert fault(name, "heal", "conditions").stdout == "healed: conditions\n"
    assert list(active(name)) == ["storm"]
    assert fault(name, "heal", "--all").stdout == "healed: storm\n"
    assert fault(name, "list").stdout == "no fault is active\n"
    assert fault(name, "heal", "--all").stdout == "no fault was active\n"


def test_a_fault_ends_when_its_time_is_over(name: str) -> None:
    done = fault(name, "add", "partition", "a,b", "--how", "reset", "--for", "1s")
    assert done.returncode == 64 and "no two servers of different groups" in done.stderr
    done = fault(name, "add", "partition", "a", "--how", "reset", "--for", "1s")
    assert done.returncode == 0 and "partition acts for 1s" in done.stdout, done.stderr
    wait_until(lambda: not active(name), lambda: active(name))


def test_a_server_is_stopped_started_restarted_and_killed(name: str) -> None:
    pids = [running(name)["a"]]
    assert xmpplab("stop", "a", "--name", name).stdout == "a has stopped\n"
    assert (running(name)["a"], running(name)["b"] is not None) == (None, True)
    again = xmpplab("stop", "a", "--name", name)
    assert again.returncode == 64 and "a does not run: `xmpplab start a` starts it" in again.stderr
    assert xmpplab("start", "a", "--name", name).stdout == "a accepts streams\n"
    pids.append(running(name)["a"])
    assert xmpplab("restart", "a", "--name", name).stdout == "a accepts streams again\n"
    pids.append(running(name)["a"])
    assert xmpplab("kill", "a", "--name", name).stdout == "a was killed\n"
    assert running(name)["a"] is None
    assert xmpplab("start", "a", "--name", name).returncode == 0
    pids.append(running(name)["a"])
    assert None not in pids and len(set(pids)) == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("stop c", "no server 'c' in "),
        ("fault add partiton a", "no action 'partiton', did you mean"),
        ("fault add partition a z", "no server 'z'"),
        ("fault add conditions a b --latency 80", "latency"),
        ("fault add conditions a b", "says nothing of the link"),
        ("fault add conditions a b c --latency 80ms", "link"),
        ("fault add kill b --how reset", "how"),
        ("fault add restart b --for 5s", "happens once and does not last"),
        ("fault add client alice@a", "only a scenario or a test that made them can let it act"),
        ("fault heal storm", "no fault 'storm' is active; active: none"),
        ("fault heal", "give the name of one fault, or --all"),
        ("fault list a", "takes no names"),
    ],
)
def test_what_cannot_be_done_is_one_error(name: str, words: str, said: str) -> None:
    done = xmpplab(*words.split(), "--name", name)
    assert done.returncode == 64 and said in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and done.stdout == ""


def test_what_another_process_carries_out_is_listed_and_healed_by_it(name: str) -> None:
    before = asyncio.run(_certificate(name))
    words = [*XMPPLAB, "fault", "add", "certificate", "a", "--how", "expired", "--name", name]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "certificate acts until it is healed" in process.stdout.readline()
            row = active(name)["certificate"]
            ends = f"when it is healed, or with process {process.pid}, which carries it out"
            assert (row["acts"], row["ends"]) == ("yes", ends)
            changed = asyncio.run(_certificate(name))
            assert changed != before
            assert fault(name, "heal", "certificate").stdout == "healed: certificate\n"
            assert asyncio.run(_certificate(name)) not in (changed, None)
            assert process.wait(DEADLINE) == 0 and process.stdout.read() == "certificate is healed\n"
        finally:
            process.kill()
    assert active(name) == {} and fault(name, "heal", "--all").stdout == "no fault was active\n"


async def _certificate(name: str) -> object:
    return await find_certificate((await attach(name)).plan.server("a"))


STUCK = '''
import asyncio
import lab

@lab.scenario()
async def stuck(federation):
    """It waits."""
    with lab.step("it waits"):
        await asyncio.sleep(600)
'''
FAULTS = """
faults:
  - {name: cut, action: partition, groups: [[a]], how: reset}
  - {name: late, action: conditions, latency: 300ms}
  - {name: names, action: dns, how: servfail}
  - {name: away, action: stop, selector: {server: b}}
"""


def test_a_run_that_is_killed_leaves_no_impairment(name: str, tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    (tmp_path / "faults.yaml").write_text(FAULTS)
    words = [*XMPPLAB, "run", "stuck.py", "--name", name, "--faults", "faults.yaml"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(
                lambda: [row["acts"] for row in active(name).values()] == ["yes"] * 4 or process.poll() is not None,
                lambda: active(name),
            )
            assert process.poll() is None and running(name)["b"] is None
            assert fault(name, "add", "partition", "a", "--as", "cut").returncode == 64
        finally:
            process.kill()
    wait_until(lambda: not active(name), lambda: active(name))
    wait_until(lambda: None not in running(name).values(), lambda: running(name))
    assert asyncio.run(_impairments(name)) == ({None}, {0.001}, {})


async def _impairments(name: str) -> tuple[set[str | None], set[float], dict[str, str]]:
    """The cuts and latencies of all relays, and what has been done to servers, by the lab's service and folder."""
    used = await attach(name)
    async with used.open_control() as control:
        relays = (await control.call("status"))["relays"]
    assert relays
    held = {path.name: path.read_text() for path in (used.layout.root / "held").glob("*")}
    return {relay["cut"] for relay in relays}, {relay["latency"] for relay in relays}, held
