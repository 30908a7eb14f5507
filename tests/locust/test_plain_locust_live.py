"""Plain `locust -f` finds the lab that is up; what cannot be, or a lab that goes down, is one sentence and a status."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.load.metrics.run_folder import read
from lab.plan.layout import find_home
from tests.house.tree import ROOT
from tests.locust.locust_process import DEADLINE, LOADTESTS, counts, free_port, processes, running, until

pytestmark = pytest.mark.live

ENVIRONMENT = {"XMPPLAB_CACHE": os.environ.get("XMPPLAB_CACHE") or str(find_home() / "cache")}

OWN = """
from locust import task
from lab.locust import XmppUser

class Own(XmppUser):
    @task
    def write(self):
        self.client.send(self.client.somebody(), "hello").outcome()
"""

#: Goes on so: everybody waits for what was never written, and asks for nothing meanwhile.
WAITING = """
        from lab.locust.client import PendingMessage
        PendingMessage(self.client._bridge, "a->b").outcome(timeout=600)
"""


@contextmanager
def a_lab() -> Iterator[dict[str, str]]:
    """An environment in which one lab is up, and nobody else's; it may have gone at the end."""
    with tempfile.TemporaryDirectory(prefix="xmpplab-") as folder:
        Path(folder).chmod(0o711)  # pytest's own folders are closed to the user that servers run as
        environment = {**ENVIRONMENT, "XMPPLAB_HOME": folder}
        xmpplab(environment, "up", "pair", "--runtime", "processes")
        try:
            yield environment
        finally:
            if Path(folder, "labs", "pair").exists():
                xmpplab(environment, "down", "pair")


@pytest.fixture(scope="module")
def one_lab() -> Iterator[dict[str, str]]:
    """For the tests that leave it up."""
    with a_lab() as environment:
        yield environment


def xmpplab(environment: dict[str, str], *words: str) -> None:
    command = [sys.executable, "-m", "lab.cli", *words]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **environment}, timeout=200)


def plain(environment: dict[str, str], file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """As people call it, with its log."""
    command = [sys.executable, "-m", "locust", "-f", str(file), *more]
    whole = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=whole)


def errors(told: str) -> list[str]:
    """What is logged as an error, without time and host."""
    return re.findall(r"/ERROR/[\w.]+: (.*)", told)


HEADLESS = ("--headless", "-u", "50", "-r", "50", "-t", "2s")


@pytest.mark.parametrize(
    "forked", [pytest.param(False, id="one"), pytest.param(True, id="processes", marks=pytest.mark.slow)]
)
def test_the_only_lab_is_found(one_lab: dict[str, str], tmp_path: Path, forked: bool) -> None:
    more = (*HEADLESS, "--warmup", "0", "--runs", f"{tmp_path}/runs", *(processes() if forked else ()))
    done = plain(one_lab, LOADTESTS / "chat.py", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not errors(done.stderr)
    kept = read(tmp_path / "runs" / "latest")
    assert kept.job.lab == "pair" and kept.result.plan["seconds"] == 2.0
    assert kept.result.total.sent == kept.result.total.received > 100


def test_a_lab_is_named_by_option_or_environment(one_lab: dict[str, str]) -> None:
    quick = (*HEADLESS[:5], "-t", "1s", "--warmup", "0")
    named = plain({**one_lab, "LOCUST_LAB": "other"}, LOADTESTS / "chat.py", *HEADLESS)
    assert (named.returncode, errors(named.stderr)) == (64, ["there is no lab other; there are pair"])
    named = plain({**one_lab, "LOCUST_LAB": "other"}, LOADTESTS / "chat.py", *quick, "--lab", "pair")
    assert named.returncode == 0, named.stderr


@pytest.mark.parametrize(
    "mode",
    [HEADLESS, (), (*HEADLESS, "--processes"), (*HEADLESS, "--master")],
    ids=["headless", "page", "processes", "master"],
)
def test_with_no_lab_up_that_is_said_at_once(tmp_path: Path, mode: tuple[str, ...]) -> None:
    if mode[-1:] == ("--processes",):
        mode = (*mode[:-1], *processes())
    elif mode[-1:] == ("--master",):
        mode = (*mode, "--master-bind-port", str(free_port()))
    port = () if "--headless" in mode else ("--web-port", str(free_port()))
    done = plain({**ENVIRONMENT, "XMPPLAB_HOME": str(tmp_path)}, LOADTESTS / "chat.py", *mode, *port)
    assert done.returncode == 64, done.stderr
    assert errors(done.stderr) == ["no lab is up; start one with: xmpplab up TOPOLOGY"]
    assert "Traceback" not in done.stderr and "Aggregated" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("written", "options", "says"),
    [
        ('traffic = "locla"', (), "there is no kind 'locla'"),
        ('trafic = "local"', (), "did you mean 'traffic'?"),
        ("pass", (), "Own has nothing to do"),
        ('traffic = "local"; body = "x"', (), "body of a load must be int"),
        ('traffic = "local"; arrivals = "soon"', (), "arrivals 'soon'"),
        ('traffic = "local"', ("--rate", "9/s", "--arrivals", "9/s"), "--rate is short for --arrivals"),
        ('traffic = "local"', ("-u", "1", "--processes"), "1 users for 2 workers"),
        ('traffic = "local"', ("-u", "900000"), "use at most"),
        ('traffic = "local"', ("--rate", "900000/s"), "are more than 1 workers can write"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    one_lab: dict[str, str], tmp_path: Path, written: str, options: tuple[str, ...], says: str
) -> None:
    file = tmp_path / "own.py"
    file.write_text(f"from lab.locust import XmppUser\n\nclass Own(XmppUser):\n    {written}\n")
    if options[-1:] == ("--processes",):
        options = (*options[:-1], *processes())
    done = plain(one_lab, file, *HEADLESS, *options)
    assert done.returncode == 64, done.stderr
    (said,) = errors(done.stderr)
    assert says in said and "Traceback" not in done.stderr


def examples() -> list[str]:
    """The Python files that docs/locust.md shows."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "locust.md").read_text(), re.S)


@pytest.mark.parametrize("example", examples(), ids=lambda text: re.search(r"class (\w+)", text)[1])
def test_what_the_documentation_shows_runs(one_lab: dict[str, str], tmp_path: Path, example: str) -> None:
    file = tmp_path / "example.py"
    file.write_text(example)
    stats = tmp_path / "e_stats.csv"
    command = [sys.executable, "-m", "locust", "-f", str(file), "--headless", "-u", "6", "--csv", f"{tmp_path}/e"]
    with running([*command, "--warmup", "0"], env={**os.environ, **one_lab}, stderr=subprocess.PIPE) as process:
        until(lambda: counts(stats).get("Aggregated", 0) > 3, stats.exists)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, told.decode()
    assert not errors(told.decode())


@pytest.mark.parametrize(
    ("forked", "own"),
    [
        pytest.param(False, True, id="one-tasks"),
        pytest.param(True, False, id="processes-traffic", marks=pytest.mark.slow),
    ],
)
def test_a_lab_that_goes_down_ends_the_load_with_a_sentence(tmp_path: Path, forked: bool, own: bool) -> None:
    file = tmp_path / "own.py" if own else LOADTESTS / "chat.py"
    if own:
        file.write_text(OWN + WAITING)
    command = [sys.executable, "-m", "locust", "-f", str(file), "--headless", "-u", "6", "--csv", str(tmp_path / "c"),
               "--warmup", "0", *(processes() if forked else ())]  # fmt: skip
    stats = tmp_path / "c_stats.csv"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with a_lab() as environment, running(command, **pipes, text=True, env={**os.environ, **environment}) as process:
        until(lambda: counts(stats).get("Aggregated", 0) > 0, stats.exists)
        xmpplab(environment, "down", "pair")
        told, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1, told
    assert [text for text in errors(told) if "the lab pair is no longer up" in text], told
    if not forked:  # then Locust itself may trip over the closed file of its table
        assert not re.findall(r'File ".*/(?:locust|gevent)/', told), told
