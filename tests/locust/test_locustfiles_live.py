"""Locust itself on a small lab: what ships, in one process and in several, with its page, with people's own tasks."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from lab.lifecycle.lab import Lab
from lab.load.metrics.run_folder import read
from lab.load.model.job import VARIABLE
from tests.locust.locust_process import (
    DEADLINE,
    LOAD,
    LOADTESTS,
    ROUTES,
    agents,
    argv,
    ask,
    counts,
    free_port,
    is_open,
    locust,
    processes,
    requests,
    running,
    until,
    whole,
)

pytestmark = pytest.mark.live

#: In one process, and in two that Locust forks.
FORKED = [pytest.param(False, id="one"), pytest.param(True, id="processes", marks=pytest.mark.slow)]

OWN = """
from locust import constant_pacing, task
from lab.locust import XmppUser

class Own(XmppUser):
    wait_time = constant_pacing(0.2)

    @task
    def write(self):
        assert self.client.send(self.client.somebody(), "hello").outcome()
"""


def test_headless_with_csv_html_and_json(lab: Lab, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    "name",
    [
        "chat",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("omemo", "rooms", "logins", "presence", "archive", "mixed")
        ),
    ],
)
def test_every_load_test_loads(lab: Lab, name: str, tmp_path: Path) -> None:
    rate = "5/s" if name == "omemo" else "20/s"
    done = locust(lab, name, "-u", "8", "-t", "2s", "--warmup", "0.2", "--arrivals", rate, "--csv", f"{tmp_path}/x")
    with (tmp_path / "x_failures.csv").open() as lines:
        errors = {row["Error"] for row in csv.DictReader(lines)}
    # So few people are sometimes drawn while they are logging in.
    assert errors <= ({"Bounced('not-online')"} if name == "logins" else set()), errors
    assert done.returncode == bool(errors), done.stdout + done.stderr
    assert counts(tmp_path / "x_stats.csv")["Aggregated"] >= 5


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="one", marks=pytest.mark.slow),
        pytest.param(("--generators", "2"), id="generators"),
        pytest.param("--processes", id="processes", marks=pytest.mark.slow),
    ],
)
def test_the_run_is_kept_and_locust_counts_the_same(lab: Lab, tmp_path: Path, options: tuple[str, ...] | str) -> None:
    """Seven people over two processes or workers, on two servers: nothing there divides evenly."""
    more = processes() if isinstance(options, str) else options
    asked = ("-u", "7", *LOAD[2:], "--runs", f"{tmp_path}/runs", "--json-file", f"{tmp_path}/c")
    done = locust(lab, "federation", *asked, *more)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = whole(tmp_path / "runs", requests(tmp_path / "c.json"))
    assert kept.result.total.sent == kept.result.total.received == 200
    assert len(kept.generators) == (1 if options == () else 2)
    assert {"a", "b"} == {*kept.result.usage}
    assert kept.folder.stat().st_mode & 0o777 == 0o700
    events = [json.loads(line)["event"] for line in (kept.folder / "samples.jsonl").read_text().splitlines()]
    assert events.count("connected") == events.count("started") == events.count("result") == 1
    assert events[-1] == "result" and "ledger" not in events


@pytest.mark.slow
def test_master_and_two_workers(lab: Lab, tmp_path: Path) -> None:
    port = str(free_port())
    worker = argv(lab, "federation", "--worker", "--master-port", port, "--json-file", f"{tmp_path}/w")
    with running(worker) as first, running(worker) as second:
        done = locust(lab, "federation", *LOAD, "--master", "--expect-workers", "2", "--master-bind-port", port,
                      "--runs", f"{tmp_path}/runs", "--json-file", f"{tmp_path}/m")  # fmt: skip
        assert first.wait(DEADLINE) == second.wait(DEADLINE) == 0, "told to quit, they do"
    assert done.returncode == 0, done.stdout + done.stderr
    assert whole(tmp_path / "runs", requests(tmp_path / "m.json")).result.total.received == 200
    assert not (tmp_path / "w.json").exists(), "with --processes it is the master's own file"


@pytest.mark.parametrize("forked", FORKED)
def test_the_page_starts_and_stops_a_load_and_starts_another(lab: Lab, tmp_path: Path, forked: bool) -> None:
    port, runs = free_port(), tmp_path / "runs"
    more = processes() if forked else ()
    command = argv(lab, "federation", "--web-port", str(port), "--warmup", "0", "--runs", str(runs), *more)
    # Locust's own variable: workers that have stopped are ready for another load only after so many seconds.
    late = {**os.environ, "LOCUST_WORKER_ADDITIONAL_WAIT_BEFORE_READY_AFTER_STOP": "1"}
    with running(command, env=late) as page:
        until(lambda: b"arrivals" in ask(port, "/"), lambda: is_open(port))
        with socket.socket() as elsewhere:
            assert elsewhere.connect_ex(("127.0.0.2", port)) != 0, "it listens beyond 127.0.0.1"
        if forked:
            until(lambda: json.loads(ask(port, "/stats/requests")).get("workers", [{}])[1:] != [])
        for number in range(2):
            ask(port, "/swarm", user_count="6", spawn_rate="50", arrivals="100/s", rate="")
            until(lambda: sum(shown(port).values()) > 0, lambda: len([*runs.glob("2*")]) == number + 1)  # noqa: B023
            ask(port, "/stop", stop="")
            assert whole(runs, shown(port)).interrupted == "it received the command to stop"
            assert agents(lab) == []
        page.send_signal(signal.SIGINT)
        assert page.wait(DEADLINE) == 0


def shown(port: int) -> dict[str, int]:
    """Requests by route as the page has them: its table as a file, for what it draws is up to two seconds old."""
    rows = csv.DictReader(ask(port, "/stats/requests/csv").decode().splitlines())
    return {row["Name"]: int(row["Request Count"]) for row in rows if row["Name"] != "Aggregated"}


def test_the_page_shows_what_is_wrong(lab: Lab) -> None:
    port = free_port()
    with running(argv(lab, "federation", "--web-port", str(port))):
        until(lambda: is_open(port))
        ask(port, "/swarm", user_count="6", spawn_rate="50", arrivals="soon")
        until(lambda: b"arrivals 'soon'" in ask(port, "/exceptions"))
        until(lambda: json.loads(ask(port, "/stats/requests"))["state"] == "stopped")


@pytest.mark.parametrize("forked", FORKED)
def test_tasks_of_ones_own(lab: Lab, tmp_path: Path, forked: bool) -> None:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    more = ("--csv", f"{tmp_path}/o", "--json-file", f"{tmp_path}/o", *(processes() if forked else ()))
    stats = tmp_path / "o_stats.csv"
    with running(argv(lab, file, "--headless", "-u", "6", *more), stderr=subprocess.PIPE) as process:
        until(lambda: counts(stats).get("Aggregated", 0) > 20, stats.exists)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, told.decode()
    found = requests(tmp_path / "o.json")
    assert sum(found.values()) > 20 and {*found} <= {*ROUTES, "local"}
    assert agents(lab) == []


@pytest.mark.slow
def test_a_job_that_was_handed_on_is_kept_in_its_folder(lab: Lab, tmp_path: Path) -> None:
    load = {"users": 4, "seconds": 1.0, "warmup": 0.0, "arrivals": "50/s"}
    job = tmp_path / "load.json"
    job.write_text(json.dumps({"lab": lab.name, "load": load, "folder": str(tmp_path)}))
    done = locust(lab, "federation", "-u", "4", *processes(), **{VARIABLE: str(job)})
    assert done.returncode == 0, done.stdout + done.stderr
    kept = read(tmp_path)
    assert kept.settled and kept.result.total.sent == kept.result.total.received == 50


def test_files_of_loadtests_are_all_tried() -> None:
    """Each in `test_every_load_test_loads`, and this one in most of the others."""
    (names,) = (one.args[1] for one in vars(test_every_load_test_loads)["pytestmark"] if one.name == "parametrize")
    names = [name if isinstance(name, str) else name.values[0] for name in names]
    assert {*names, "federation"} == {path.stem for path in LOADTESTS.glob("*.py")}
