"""Locust itself on a small lab: in one process, in several, with its page, interrupted, with tasks of people's own."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from house.tree import ROOT

from lab.load.job import VARIABLE
from lab.runtime import lab as labs
from lab.runtime.proc import marked
from lab.topology.spec import Feed, Link
from tests.runtime.helpers import pair

pytestmark = pytest.mark.live

LOADTESTS = ROOT / "loadtests"
ROUTES = {"a->b", "b->a"}
DEADLINE = 60  # seconds

OWN = """
from locust import constant_pacing, task
from lab.locust import XmppUser

class Own(XmppUser):
    wait_time = constant_pacing(0.2)

    @task
    def write(self):
        assert self.client.send(self.client.somebody(), "hello").outcome()
"""


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[labs.Lab]:
    """Two servers with a direct link."""
    topology = pair()
    servers = tuple(replace(server, feed=Feed.OFF) for server in topology.servers)
    topology = replace(topology, servers=servers, links=(Link("a", "b", direct=True),))
    lab = await labs.up(topology, runtime="processes", owned=True)
    try:
        yield lab
        assert agents(lab) == [], "a load left processes"
    finally:
        await lab.down()


def agents(lab: labs.Lab) -> list[int]:
    """Processes of the lab that a load started."""
    return [pid for pid in marked().get(str(lab.layout.root), []) if is_load(pid)]


def is_load(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"lab.load" in command or b"lab.clients.agent" in command


def argv(lab: labs.Lab, file: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "locust", "-f", str(file), "--lab", lab.name, "--skip-log-setup", *more]


def locust(lab: labs.Lab, file: str | Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = argv(lab, LOADTESTS / f"{file}.py" if isinstance(file, str) else file, "--headless", *more)
    # Among files of which one is called as a package that an encrypted load needs.
    whole = {**os.environ, **environment}
    return subprocess.run(command, cwd=LOADTESTS, capture_output=True, text=True, timeout=DEADLINE, env=whole)


def counts(file: Path) -> dict[str, int]:
    """Requests by route, of Locust's CSV; "Aggregated" is the total."""
    with file.open() as lines:
        return {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(lines)}


LOAD = ("-u", "6", "-t", "2s", "--warmup", "0.5", "--rate", "100/s")


def test_headless_with_csv_html_and_json(lab: labs.Lab, tmp_path: Path) -> None:
    done = locust(lab, "federation", *LOAD, "--csv", f"{tmp_path}/f", "--html", f"{tmp_path}/f.html",
                  "--json-file", f"{tmp_path}/f")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = counts(tmp_path / "f_stats.csv")
    assert {*found} == {*ROUTES, "Aggregated"}
    assert found["Aggregated"] == sum(found[route] for route in ROUTES) == 200
    page = (tmp_path / "f.html").read_text()
    assert all(f'"{route}"'.replace(">", "\\u003e") in page for route in ROUTES)
    entries = json.loads((tmp_path / "f.json").read_text())
    assert {entry["name"] for entry in entries} == ROUTES


@pytest.mark.parametrize("name", ["chat", "rooms", "logins", "presence", "archive", "mixed", "omemo"])
def test_every_load_test_loads(lab: labs.Lab, name: str, tmp_path: Path) -> None:
    rate = "5/s" if name == "omemo" else "20/s"
    done = locust(lab, name, "-u", "8", "-t", "2s", "--warmup", "0.2", "--arrivals", rate, "--csv", f"{tmp_path}/x")
    with (tmp_path / "x_failures.csv").open() as lines:
        errors = {row["Error"] for row in csv.DictReader(lines)}
    # So few people are sometimes drawn while they are logging in.
    assert errors <= ({"Bounced('not-online')"} if name == "logins" else set()), errors
    assert done.returncode == bool(errors), done.stdout + done.stderr
    assert counts(tmp_path / "x_stats.csv")["Aggregated"] >= 5


def test_several_processes_share_one_load(lab: labs.Lab, tmp_path: Path) -> None:
    done = locust(lab, "federation", *LOAD, "--processes", "2", "--csv", f"{tmp_path}/p")
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts(tmp_path / "p_stats.csv")["Aggregated"] == 200


def test_master_and_worker(lab: labs.Lab, tmp_path: Path) -> None:
    port = str(free_port())
    file = LOADTESTS / "federation.py"
    worker = argv(lab, file, "--worker", "--master-port", port)
    with running(worker):
        done = locust(lab, "federation", *LOAD, "--master", "--expect-workers", "1", "--master-bind-host", "127.0.0.1",
                      "--master-bind-port", port, "--csv", f"{tmp_path}/m")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert counts(tmp_path / "m_stats.csv")["Aggregated"] == 200


def test_ctrl_c_counts_what_was_measured(lab: labs.Lab, tmp_path: Path) -> None:
    command = argv(lab, LOADTESTS / "federation.py", "--headless", "-u", "6", "--rate", "100/s", "--warmup", "0",
                   "--csv", f"{tmp_path}/i", "--json-file", f"{tmp_path}/i")  # fmt: skip
    with running(command) as process:
        until(lambda: counts(tmp_path / "i_stats.csv")["Aggregated"] > 50, lambda: (tmp_path / "i_stats.csv").exists())
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 0
    entries = json.loads((tmp_path / "i.json").read_text())
    # Counted to the last: what the last look at the files had, and what drained after Ctrl-C.
    assert sum(entry["num_requests"] for entry in entries) == counts(tmp_path / "i_stats.csv")["Aggregated"]
    assert sum(entry["num_failures"] for entry in entries) == 0
    assert agents(lab) == []


def test_killed_it_leaves_nothing(lab: labs.Lab, tmp_path: Path) -> None:
    command = argv(lab, LOADTESTS / "federation.py", "--headless", "-u", "4", "--warmup", "0")
    with running(command) as process:
        until(lambda: bool(agents(lab)))
        process.kill()
        process.wait()
        until(lambda: not agents(lab))


def test_the_page_starts_and_stops_a_load(lab: labs.Lab) -> None:
    port = free_port()
    command = argv(
        lab, LOADTESTS / "federation.py", "--web-host", "127.0.0.1", "--web-port", str(port), "--warmup", "0"
    )
    with running(command) as process:
        until(lambda: b"arrivals" in ask(port, "/"), lambda: is_open(port))
        for _ in range(2):
            ask(port, "/swarm", user_count="6", spawn_rate="50", arrivals="100/s", rate="")
            until(lambda: json.loads(ask(port, "/stats/requests"))["total_rps"] > 0)
            stats = json.loads(ask(port, "/stats/requests"))
            assert ROUTES & {one["name"] for one in stats["stats"]} and not stats["errors"]
            ask(port, "/stop", stop="")
            assert agents(lab) == []
        process.terminate()
        assert process.wait(DEADLINE) == 0


def test_tasks_of_ones_own(lab: labs.Lab, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    done = locust(lab, file, "-u", "6", "-t", "4s", "--csv", f"{tmp_path}/o")
    assert done.returncode == 0, done.stdout + done.stderr
    found = counts(tmp_path / "o_stats.csv")
    assert found["Aggregated"] > 20 and {*found} <= {*ROUTES, "local", "Aggregated"}


def test_a_job_that_was_handed_on_is_kept_in_its_folder(lab: labs.Lab, tmp_path: Path) -> None:
    load = {"users": 4, "seconds": 1.0, "warmup": 0.0, "arrivals": "50/s"}
    job = tmp_path / "load.json"
    job.write_text(json.dumps({"lab": lab.name, "load": load, "folder": str(tmp_path)}))
    done = locust(lab, "federation", "-u", "4", **{VARIABLE: str(job)})
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line)["event"] for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert "sample" in events and events[-1] == "result"


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--arrivals", "soon"], "arrivals 'soon'"), (["--rate", "9/s", "--arrivals", "9/s"], "short")],
)
def test_bad_input_ends_at_once(lab: labs.Lab, options: list[str], says: str) -> None:
    done = locust(lab, "federation", "-u", "4", *options)
    assert done.returncode == 64 and says in done.stderr, done.stderr


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ask(port: int, path: str, **form: str) -> bytes:
    data = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=DEADLINE) as answer:
        return bytes(answer.read())


def until(*conditions: Callable[[], bool]) -> None:
    """Return once all hold; the last is looked at first."""
    deadline = time.monotonic() + DEADLINE
    while not all(condition() for condition in reversed(conditions)):
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Locust beside the test; it is gone afterwards."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
