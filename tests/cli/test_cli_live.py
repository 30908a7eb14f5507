"""The life of a lab through the verbs, on real servers (processes), and what a signal leaves: nothing."""

from __future__ import annotations

import json
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from lab.system.processes import find_marked
from tests.cli.leftovers import left

pytestmark = pytest.mark.live

XMPPLAB = [sys.executable, "-m", "lab.cli"]
DEADLINE = 120  # seconds: the first use on a machine fetches and unpacks the servers' packages


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands are given."""
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def name(folder: Path) -> Iterator[str]:
    """A lab that is up, made by `up`."""
    name = f"cli-{secrets.token_hex(3)}"
    done = _xmpplab(folder, "up", "line:3", "--name", name, "--runtime", "processes", "-f", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["domain"] for row in rows] == ["s1.test", "s2.test", "s3.test"]
    assert len({row["address"] for row in rows}) == 3
    yield name
    _xmpplab(folder, "down", name)


def _xmpplab(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*XMPPLAB, *arguments], cwd=folder, capture_output=True, text=True, timeout=DEADLINE)


def test_up_again_has_nothing_to_do(folder: Path, name: str) -> None:
    pids = [row["pid"] for row in json.loads(_xmpplab(folder, "status", name, "-f", "json").stdout)]
    done = _xmpplab(folder, "up", "line:3", "--name", name, "--runtime", "processes")
    assert done.returncode == 0 and "nothing to do" in done.stderr
    assert [row["pid"] for row in json.loads(_xmpplab(folder, "status", name, "-f", "json").stdout)] == pids


def test_another_plan_wants_recreate(folder: Path, name: str) -> None:
    done = _xmpplab(folder, "up", "line:4", "--name", name, "--runtime", "processes")
    assert done.returncode == 64 and "--recreate" in done.stderr and "s4" in done.stderr


def test_status_lists_it(folder: Path, name: str) -> None:
    labs = json.loads(_xmpplab(folder, "status", "-f", "json").stdout)
    (mine,) = [row for row in labs if row["lab"] == name]
    assert (mine["phase"], mine["servers"], mine["ends_with"]) == ("ready", "3 of 3 running", None)


def test_logs_carry_the_name_of_their_server(folder: Path, name: str) -> None:
    done = _xmpplab(folder, "logs", "s2", "--name", name, "-n", "5")
    assert done.returncode == 0 and done.stdout
    assert all(re.match(r"s2 +\S", line) for line in done.stdout.splitlines())


def test_exec_ends_with_the_commands_code(folder: Path, name: str) -> None:
    done = _xmpplab(folder, "exec", "s1", "--name", name, "--", "sh", "-c", "ls data; exit 7")
    assert done.returncode == 7
    assert _xmpplab(folder, "exec", "nobody", "--name", name, "--", "ls").returncode == 64


def test_run_uses_the_lab_again_and_leaves_it_up(folder: Path, name: str) -> None:
    done = _xmpplab(folder, "run", "everyone_writes", "--name", name)
    assert done.returncode == 0, done.stderr
    assert "VALID: everyone_writes" in done.stdout
    run = folder / "runs" / "latest"
    assert f"runs/{run.resolve().name}" in done.stdout
    assert json.loads((run / "verdict.json").read_text())
    assert _xmpplab(folder, "check").returncode == 0
    assert name in _xmpplab(folder, "status").stdout


def test_what_a_load_cannot_reach_is_refused_on_a_lab_that_is_up(folder: Path, name: str) -> None:
    done = _xmpplab(folder, "load", "neighbours", "--name", name, "-u", "6", "-r", "90000/s", "--for", "1s")
    assert done.returncode == 64 and "90000 messages per second are more than 1 workers can write" in done.stderr
    assert not list((folder / "runs").glob("*load*"))


KILLED = """
import asyncio, lab
from lab.faults import partition
@lab.scenario
async def waits(federation):
    \"""Two people wait behind a fault.\"""
    a, b = federation.linked_pair()
    await a.person(), await b.person()
    async with federation.inject(partition([a], [b])):
        print("BEGUN", flush=True)
        await asyncio.sleep(60)
"""


@pytest.mark.parametrize(
    ("words", "begun"),
    [
        (("run", "waits.py"), "BEGUN"),
        pytest.param(
            ("load", "neighbours", "-u", "6", "-r", "10/s", "--for", "60s", "--warmup", "0s"),
            "of 60 s",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_killed_on_a_lab_that_is_up_leaves_it_as_it_was(
    folder: Path, name: str, words: tuple[str, ...], begun: str
) -> None:
    """Agents, workers and faults end with the command that began them; servers and the lab's service stay."""
    (folder / "waits.py").write_text(KILLED)
    before = _processes(name)
    command = [*XMPPLAB, *words, "--name", name]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        told = []
        for line in process.stdout:
            told.append(line)
            if begun in line:
                break
        assert process.poll() is None, told
        during = _processes(name)
        process.kill()
    deadline = time.monotonic() + DEADLINE
    while (after := _processes(name)) != before or left(folder):
        assert time.monotonic() < deadline, (before, after, left(folder))
        time.sleep(0.1)
    assert during > before, "nothing ran beside the lab, so that nothing could be left"
    assert _xmpplab(folder, "fault", "list", "--name", name).stdout == "no fault is active\n"
    done = _xmpplab(folder, "run", "everyone_writes", "--name", name)
    assert done.returncode == 0, done.stdout + done.stderr


def _processes(name: str) -> set[int]:
    """Processes of the lab of that name, with what runs on it."""
    return {pid for lab, pids in find_marked().items() if Path(lab).name == name for pid in pids}


def test_after_a_failure_the_lab_can_be_kept(folder: Path) -> None:
    script = folder / "fails.py"
    script.write_text(
        'import lab\n@lab.scenario()\nasync def fails(federation):\n    """It does."""\n    lab.expect(1, 2)\n'
    )
    done = _xmpplab(folder, "run", "fails.py", "-t", "pair", "--runtime", "processes", "--keep")
    assert done.returncode == 1, done.stdout + done.stderr
    (kept,) = re.findall(r"^End it with: xmpplab down (\S+)$", done.stdout, re.M)
    (row,) = [one for one in json.loads(_xmpplab(folder, "status", "-f", "json").stdout) if one["lab"] == kept]
    assert (row["phase"], row["servers"], row["ends_with"]) == ("ready", "2 of 2 running", None)
    assert _xmpplab(folder, "down", kept).returncode == 0


def test_over_several_topologies_the_gravest_counts(folder: Path) -> None:
    script = folder / "never.py"
    script.write_text(
        "import lab\n@lab.scenario()\nasync def never(federation):\n"
        '    """What cannot hold where there is a way round."""\n    federation.unlinked_pair()\n    lab.expect(1, 2)\n'
    )
    files = ("--junit", "junit.xml", "--summary", "summary.md")
    done = _xmpplab(folder, "run", "never.py", "-t", "pair:2", "-t", "line:3", "--runtime", "processes", *files)
    assert done.returncode == 1, done.stdout + done.stderr
    root = ET.parse(folder / "junit.xml").getroot()
    assert [root.get(count) for count in ("tests", "failures", "errors", "skipped")] == ["2", "1", "0", "1"]
    assert "| never | skipped | **failed** |" in (folder / "summary.md").read_text()
    assert "1 skipped" in done.stdout and "FAILED: never" in done.stdout
    (matrix,) = (folder / "runs").glob("*-matrix.html")
    assert done.stdout.splitlines()[-1] == matrix.as_uri()
    pages = re.findall(r'href="([^"]+/page\.html)"', matrix.read_text())
    assert pages and all((matrix.parent / one).is_file() for one in pages)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_nothing(folder: Path, number: int, code: int) -> None:
    script = folder / "long.py"
    script.write_text(
        "import asyncio, lab\n@lab.scenario()\nasync def long(federation):\n"
        '    """It would take a minute."""\n    print("BEGUN", flush=True)\n    await asyncio.sleep(60)\n'
    )
    topology = f"cut{secrets.token_hex(3)}"  # a name that labs of nobody else on this machine have
    (folder / f"{topology}.yaml").write_text("servers: {a: {}, b: {}}\nlinks: [{between: [a, b]}]\n")
    command = [*XMPPLAB, "run", "long.py", "-t", f"./{topology}.yaml", "--runtime", "processes"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout and process.stdout.readline() == "BEGUN\n"
            assert _labs(topology)
            process.send_signal(number)
            _, told = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == code, told
    assert "Traceback" not in told
    assert not _labs(topology)


def _labs(topology: str) -> list[str]:
    """Folders of the labs with that topology which have processes."""
    return [lab for lab in find_marked() if Path(lab).name.startswith(topology)]


def test_down_leaves_nothing(folder: Path, name: str) -> None:
    done = _xmpplab(folder, "down", name)
    assert (done.returncode, done.stdout) == (0, f"{name} has ended\n")
    assert not [lab for lab in find_marked() if Path(lab).name == name]
    assert _xmpplab(folder, "down", name).returncode == 64
