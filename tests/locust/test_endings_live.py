"""However a load in Locust ends: what was measured is told and kept if it was asked to end, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lab.lifecycle.lab import Lab
from lab.load.metrics.run_folder import read
from tests.locust.locust_process import DEADLINE, agents, argv, free_port, processes, requests, running, until, whole

pytestmark = pytest.mark.live

LOAD = ("-u", "7", "--rate", "100/s", "--warmup", "0")


def started(lab: Lab, runs: Path, *more: str) -> list[str]:
    """Locust on a load without an end."""
    return argv(lab, "federation", "--headless", *LOAD, "--runs", str(runs), *more)


def under_way(runs: Path, samples: int = 3) -> None:
    """Return once so many samples are there: of two workers, three are of both."""
    file = runs / "latest" / "samples.jsonl"
    until(lambda: file.read_text().count('"sample"') >= samples, file.exists)


@pytest.mark.parametrize(
    ("number", "forked", "everybody"),
    [
        pytest.param(signal.SIGINT, False, False, id="one"),
        pytest.param(signal.SIGTERM, True, False, id="processes-one", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, True, True, id="processes-all", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_it_with_all_that_was_measured(
    lab: Lab, tmp_path: Path, number: signal.Signals, forked: bool, everybody: bool
) -> None:
    runs = tmp_path / "runs"
    more = processes() if forked else ()
    with running(started(lab, runs, "--json-file", f"{tmp_path}/j", *more), stderr=subprocess.PIPE) as process:
        under_way(runs)
        (os.killpg if everybody else os.kill)(process.pid, number)
        _, told = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, told.decode()
    assert b"Traceback" not in told and b"KeyboardInterrupt" not in told
    kept = whole(runs, requests(tmp_path / "j.json"))
    assert kept.interrupted == "it received the command to stop"
    assert kept.result.total.lost == 0
    assert agents(lab) == []


@pytest.mark.parametrize(
    "forked", [pytest.param(False, id="one"), pytest.param(True, id="processes", marks=pytest.mark.slow)]
)
def test_killed_it_leaves_nothing(lab: Lab, tmp_path: Path, forked: bool) -> None:
    runs = tmp_path / "runs"
    with running(started(lab, runs, *(processes() if forked else ()))) as process:
        under_way(runs)
        process.kill()
        process.wait()
        until(lambda: not agents(lab))
        until(lambda: not _group(process.pid))
    if not forked:
        until((runs / "latest" / "report.txt").is_file)
        assert read(runs / "latest").interrupted == "the program that started it has ended"


@pytest.mark.slow
def test_a_worker_that_is_interrupted_ends_the_load_for_all_and_everything_is_counted(lab: Lab, tmp_path: Path) -> None:
    port, runs = str(free_port()), tmp_path / "runs"
    worker = argv(lab, "federation", "--worker", "--master-port", port)
    master = started(lab, runs, "--master", "--expect-workers", "2", "--master-bind-port", port,
                     "--json-file", f"{tmp_path}/w")  # fmt: skip
    with running(worker) as first, running(worker) as second, running(master) as one:
        under_way(runs)
        first.send_signal(signal.SIGINT)
        assert [process.wait(DEADLINE) for process in (first, second, one)] == [0, 0, 0]
    whole(runs, requests(tmp_path / "w.json"))


def test_a_worker_that_is_killed_ends_the_load_and_is_said(lab: Lab, tmp_path: Path) -> None:
    port, runs = str(free_port()), tmp_path / "runs"
    worker = argv(lab, "federation", "--worker", "--master-port", port)
    master = started(lab, runs, "--master", "--expect-workers", "2", "--master-bind-port", port)
    with running(worker) as first, running(worker), running(master, stderr=subprocess.PIPE) as one:
        under_way(runs)
        first.kill()
        _, told = one.communicate(timeout=DEADLINE)
    assert one.returncode == 1 and b"a Locust worker has ended" in told, told.decode()
    kept = read(runs / "latest")
    assert not kept.settled and kept.result.total.lost == 0, "nobody knows what its people got"


@pytest.mark.slow
def test_workers_end_their_part_when_the_master_is_killed(lab: Lab, tmp_path: Path) -> None:
    port, runs = str(free_port()), tmp_path / "runs"
    worker = argv(lab, "federation", "--worker", "--master-port", port)
    with running(worker), running(started(lab, runs, "--master", "--master-bind-port", port)) as one:
        under_way(runs, 1)
        one.kill()
        one.wait()
        until(lambda: not agents(lab))


def test_interrupted_twice_it_does_not_wait(lab: Lab, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with loudly(started(lab, runs)) as process:
        under_way(runs)
        process.send_signal(signal.SIGINT)
        heard(process, b"the load stops")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=DEADLINE)
        assert process.returncode == 128 + signal.SIGINT and b"Traceback" not in told, told.decode()
        until(lambda: not agents(lab))


def test_interrupted_while_it_waits_for_workers_it_goes(lab: Lab, tmp_path: Path) -> None:
    port = str(free_port())
    with loudly(started(lab, tmp_path, "--master", "--expect-workers", "2", "--master-bind-port", port)) as process:
        heard(process, b"the steady state lasts")
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=DEADLINE)
    assert process.returncode == 128 + signal.SIGINT and b"Traceback" not in told, told.decode()


def loudly(command: list[str]) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Running, with its log to be read."""
    return running(command, stderr=subprocess.PIPE)


def heard(process: subprocess.Popen[bytes], text: bytes) -> None:
    """Return once it has logged that."""
    assert process.stderr is not None
    assert any(text in line for line in process.stderr), "it ended without having said so"


def _group(leader: int) -> list[int]:
    """Living processes of its group."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # gone
            continue
        if int(fields[2]) == leader and fields[0] not in "ZXx":
            found.append(int(entry.name))
    return found
