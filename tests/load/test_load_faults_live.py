"""A load on servers whose link is cut for a time: its bounces are the fault's, and the load recovers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.load.metrics.run_folder import read

pytestmark = pytest.mark.live

CUT = """
faults:
  - {name: storm, action: partition, groups: [[a], [b]], how: reset, at: 4s, duration: 500ms}
"""
OPTIONS = ["-u", "8", "-r", "40/s", "--for", "10s", "--warmup", "1s", "--runtime", "processes", "-f", "json"]


def _load(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "cut.yaml").write_text(CUT)
    words = ["load", "neighbours+local", "-t", "pair", *OPTIONS, "--faults", "cut.yaml", *options]
    command = [sys.executable, "-m", "lab.cli", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)


def test_a_partition_has_figures_in_the_result_and_is_no_reason_to_fail(tmp_path: Path) -> None:
    """On a machine that is busy with something else the recovery may not be seen, and then says why."""
    done = _load(tmp_path)
    told = json.loads(done.stdout)
    folder = tmp_path / told["folder"]
    (fault,) = told["faults"]
    assert (fault["name"], fault["action"], fault["error"]) == ("storm", "partition", ""), done.stderr
    assert fault["applied"] >= 1 + 4 - 0.1, "it counts from the steady state, which follows a second of warm-up"
    assert fault["healed"] - fault["applied"] >= 0.5 - 0.1
    assert fault["bounced_during"] + fault["lost_during"] > 0, told
    assert told["bounced"], "servers return what they cannot deliver"
    if fault["recovery"] is None:
        assert fault["unknown"].startswith("not in the ")
    else:
        assert told["verdict"] == "valid" and done.returncode == 0, told["sentence"]
        assert fault["recovery"] <= 10 - 4 - 0.5
    record = read(folder)
    assert json.loads((folder / "result.json").read_text())["faults"] == told["faults"]
    assert any(line.startswith("storm  ") for line in (folder / "report.txt").read_text().splitlines())
    assert "storm: from " in (folder / "page.html").read_text()
    assert {one.route for one in record.result.failures} <= {"a->b", "b->a"}, "local messages pass all the time"


def test_a_fault_that_would_begin_after_the_load_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = _load(tmp_path, "--for", "3s")
    assert done.returncode == 64
    assert "fault storm: begins at 4s, and the steady state has 3s: give a longer --for" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_fault_of_people_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "people.yaml").write_text("faults: [{action: client, selector: {person: alice@a}}]")
    done = _load(tmp_path, "--faults", "people.yaml")
    assert (
        done.returncode == 64
        and "client-1: acts on the devices of people: those of a load are its users" in done.stderr
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_each_run_of_a_study_has_the_faults(tmp_path: Path) -> None:
    (tmp_path / "cut.yaml").write_text(CUT.replace("at: 4s, duration: 500ms", "at: 500ms, duration: 1s"))
    words = ["study", "-t", "pair", "-t", "pair,latency=5ms", "--seeds", "1", *OPTIONS, "--for", "3s"]
    command = [sys.executable, "-m", "lab.cli", *words, "--faults", "cut.yaml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    results = sorted((tmp_path / "runs").glob("*-study-*/*/result.json"))
    assert len(results) == 2, done.stderr
    for path in results:
        (fault,) = json.loads(path.read_text())["faults"]
        assert (fault["name"], fault["error"]) == ("storm", "") and fault["healed"] - fault["applied"] >= 0.9
