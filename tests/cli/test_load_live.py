"""`xmpplab load` on real servers: measured over both runtimes, interrupted, refused; nothing is left but the run."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.load.metrics.run_folder import read
from lab.plan.layout import find_home
from tests.cli.leftovers import left
from tests.cli.test_study_live import study_code
from tests.runtimes import CONTAINERS, PROCESSES

pytestmark = pytest.mark.live

XMPPLAB = [sys.executable, "-m", "lab.cli"]
DEADLINE = 200  # seconds: the first use on a machine fetches what servers and workers need
QUICK = ["-t", "pair", "--users", "20", "--rate", "50/s", "--for", "3s", "--warmup", "0s"]


def _load(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*XMPPLAB, "load", *arguments], cwd=folder, capture_output=True, text=True, timeout=DEADLINE)


def _labs() -> set[str]:
    folder = find_home() / "labs"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@pytest.mark.parametrize("runtime", [pytest.param(PROCESSES, marks=pytest.mark.slow), CONTAINERS])
def test_all_that_is_written_comes(tmp_path: Path, runtime: str) -> None:
    done = _load(tmp_path, "neighbours", *QUICK, "--workers", "2", "--runtime", runtime, "-f", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    by_route = {row["route"]: row for row in told["routes"]}
    assert set(by_route) == {"a->b", "b->a", "all"}
    assert by_route["all"]["sent"] == by_route["all"]["received"] == 150  # 3 s at 50/s, to the message
    assert by_route["all"]["lost"] == by_route["all"]["duplicates"] == 0
    assert (told["plan"]["traffic"], told["plan"]["arrivals"], told["plan"]["tick"]) == (
        "neighbours",
        "constant:50/s",
        0.005,
    )
    assert 0 <= told["lag"]["p50"] <= told["lag"]["p99"] and (told["bounced"], told["reconnects"]) == ({}, 0)
    assert {"a", "b", "worker 0", "worker 1"} == {name for name, size in told["memory"].items() if size > 1 << 20}
    assert by_route["all"]["p50_ms"] > 0
    assert set(told["cores"]) == {"a", "b", "worker 0", "worker 1"}
    assert told["settled"] and told["measured"] and not told["interrupted"] and not told["misses"]
    kept = read(tmp_path / told["folder"])
    assert all(reading.rss > 1 << 20 for readings in kept.result.usage.values() for reading in readings)
    assert set(kept.generators) == {"worker 0", "worker 1"}
    assert (kept.folder / "report.txt").stat().st_mode & 0o777 == 0o600
    assert Path(told["page"]).read_text().count("<svg") == 6  # direct links carry no counter, nothing bounced


def test_links_with_conditions_are_counted_and_slow(tmp_path: Path) -> None:
    topology = tmp_path / "slow.yaml"
    topology.write_text(
        "name: slow\nteaches: A link that takes its time.\nservers: {a: {}, b: {software: ejabberd}}\n"
        "links: [{between: [a, b], latency: 50ms}]\n"
    )
    done = _load(
        tmp_path, "neighbours", "-t", str(topology), "-u", "10", "-r", "40/s", "--for", "2s", "--warmup", "1s",
        "--runtime", "processes", "--bounds", "p50=20ms,loss=0",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "FAILED: neighbours exceeded its bounds: p50 was" in done.stdout
    assert "relayed links: a - b; none is direct" in done.stdout
    kept = read(tmp_path / "runs" / "latest")
    assert kept.result.total.intended.percentile(50) > 0.05
    assert all(count > 5_000 for count in kept.result.links.values()) and len(kept.result.links) == 2


@pytest.mark.parametrize(
    ("test", "number"),
    [
        pytest.param("neighbours", signal.SIGINT, marks=pytest.mark.slow),
        ("neighbours", signal.SIGTERM),
        ("neighbours", signal.SIGKILL),
        pytest.param("federation", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_load_writes_its_report_and_leaves_nothing(
    tmp_path: Path, test: str, number: signal.Signals
) -> None:
    words = [*XMPPLAB, "load", test, *QUICK[:-3], "60s", "--warmup", "0s", "--runtime", "processes", "-w", "2"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            second, _, rest = line.partition(" of 60 s")
            if rest and int(second) >= 1:  # on a busy machine a line may be left out
                break
        process.send_signal(number)
        told, _ = process.communicate(timeout=60)
    _until((tmp_path / "runs" / "latest" / "page.html").is_file)
    kept = read(tmp_path / "runs" / "latest")
    _until(lambda: kept.job.lab not in _labs())
    assert kept.interrupted
    assert "until it was interrupted" in (kept.folder / "page.html").read_text()
    assert kept.result.total.received > 0
    if number != signal.SIGKILL:
        assert process.returncode == 128 + number
        assert "Interrupted: " in told
        assert kept.result.total.sent == kept.result.total.received, "it was ended, and not drained"
    _until(lambda: not left(tmp_path))


def _until(condition: Callable[[], object], within: float = 120.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def test_a_load_test_runs_in_locust_and_leaves_the_same_folder(tmp_path: Path) -> None:
    began = time.time()
    done = _load(tmp_path, "federation", *QUICK, "--runtime", "processes")
    assert done.returncode == 0, done.stderr
    kept = read(tmp_path / "runs" / "latest")
    assert kept.settled
    assert kept.result.total.sent == kept.result.total.received == 150
    assert "Aggregated" in (kept.folder / "output.log").read_text()
    rows = list(csv.DictReader((kept.folder / "intervals.csv").read_text().splitlines()))
    assert began <= float(rows[0]["epoch"]) <= float(rows[-1]["epoch"]) <= time.time()


@pytest.mark.slow
def test_a_study_has_a_row_for_each_topology_and_its_runs_can_be_compared(tmp_path: Path) -> None:
    words = ["study", "-t", "pair", "-t", "line:3", "--seeds", "1", "-u", "6", "-r", "40/s", "--for", "1s"]
    done = subprocess.run(
        [*XMPPLAB, *words, "--warmup", "0s", "--runtime", "processes", "-f", "json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert done.returncode == study_code(tmp_path / told["folder"]), done.stderr
    assert {(row["topology"], row["diameter"], row["loss"]) for row in told["table"]} == {
        ("pair", 1, 0),
        ("line:3", 2, 0),
    }
    first, second = sorted((tmp_path / told["folder"]).glob("0*"))
    page = Path(told["page"]).read_text()
    assert f'href="{first.name}/page.html"' in page and (first / "page.html").is_file()
    again = subprocess.run(
        [*XMPPLAB, "report", told["folder"]], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert again.stdout.splitlines()[-1] == Path(told["page"]).as_uri()
    assert "line:3" in again.stdout
    compared = subprocess.run(
        [*XMPPLAB, "compare", str(first), str(second), "-f", "json"], capture_output=True, text=True, timeout=30
    )
    data = json.loads(compared.stdout)
    assert compared.returncode == (0 if data["comparable"] else 2), compared.stderr
    assert data["comparable"] or all("the generator was the limit" in text for text in data["against"]), data["against"]
    assert {row["figure"]: row["first"] for row in data["figures"]}["sent"] == 40
    assert [text.partition(":")[0] for text in data["setting"]] == ["topology"]
