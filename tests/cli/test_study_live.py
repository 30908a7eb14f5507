"""`xmpplab study` on real servers: gone on with where it was left, longer than it was, refused where it cannot be."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.live

DEADLINE = 200  # seconds: the first use on a machine fetches what servers need
FIRST = [
    "-t", "mine.yaml", "--seeds", "2", "-u", "6", "-r", "40/s", "--for", "1s", "--warmup", "0s",
    "--runtime", "processes",
]  # fmt: skip
MINE = "name: mine\nteaches: Two servers.\nservers: {a: {}, b: {}}\nlinks: [{between: [a, b]}]\n"


def study_code(folder: Path) -> int:
    """How a study ends that has measured all: on a busy machine the generator may have been the limit of a run."""
    return 2 if any(run["limited"] for run in json.loads((folder / "study.json").read_text())["runs"]) else 0


def _study(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab.cli", "study", *words, "-f", "json"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DEADLINE)


def test_a_study_is_gone_on_with_and_keeps_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    words = [sys.executable, "-m", "lab.cli", "study", *FIRST]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("run 2 of 2") and "starting" in line:
                process.send_signal(signal.SIGINT)
                break
        told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "1 of 2 runs were measured." in told and "xmpplab study --resume" in told
    folder = next((tmp_path / "runs").glob("*-study-*"))
    (kept,) = folder.glob("*/result.json")
    before = kept.stat().st_mtime_ns

    done = _study(tmp_path, "--resume", str(folder), "--seeds", "3")
    assert done.returncode == study_code(folder), done.stderr
    assert [(row["topology"], row["runs"]) for row in json.loads(done.stdout)["table"]] == [("mine.yaml", 3)]
    assert len(json.loads((folder / "study.json").read_text())["runs"]) == 3
    assert kept.stat().st_mtime_ns == before, "a whole run was made again"

    (tmp_path / "mine.yaml").write_text(MINE.replace("a: {}", "a: {software: ejabberd}"))
    changed = _study(tmp_path, "--resume", str(folder))
    assert changed.returncode == 64
    assert "mine.yaml is not what it was" in changed.stderr


#: Bytes a second and direction: about 140 messages, whatever the machine.
NARROW = MINE.replace("[a, b]}", "[a, b], rate: 160kbit/s}")


@pytest.mark.slow
def test_a_study_searches_the_highest_rate_of_each_topology(tmp_path: Path) -> None:
    """Which rate depends on the machine; a narrow link bounds it, and what was confirmed is not searched again."""
    (tmp_path / "narrow.yaml").write_text(NARROW)
    words = ["-t", "narrow.yaml", "--seeds", "1", "-u", "4", "-r", "100/s", "--for", "1s", "--warmup", "0s"]
    done = _study(tmp_path, *words, "--runtime", "processes", "--find-limit", "p99=200ms,loss=0")
    told = json.loads(done.stdout)
    (run,) = told["runs"]
    assert done.returncode == (0 if run["measured"] and not run["limited"] else 2), done.stderr
    assert run["search"]["rate"] < 250, "twice as much is late by half of the second that it lasts"
    (folder,) = (tmp_path / "runs").glob("*-study-*")
    made = sorted((folder / run["folder"]).glob("*/result.json"))
    assert len(made) == len(run["search"]["trials"]) >= 2
    assert f"{run['search']['trials'][0]['rate']:.0f}/s is" in " ".join(done.stderr.split())
    assert [row.get("limit") for row in told["table"]] == [run["search"]["rate"] if run["measured"] else None]
    if run["measured"]:
        again = json.loads(_study(tmp_path, "--resume", str(folder)).stdout)
        assert again["runs"] == told["runs"] and len([*folder.glob("*/limit.json")]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "a study needs topologies"),
        (["-t", "pair", "-t", "pair"], "pair is twice"),
        (["--resume", "."], "not the folder of a study"),
        (["--resume", ".", "-t", "pair"], "remove -t"),
        (["-t", "pair", "-r", "50000/s"], "50000 messages per second are more than 1 workers can write (20000/s)"),
        (["-t", "ring:4", "-u", "2", "-w", "3"], "use at most 2 workers"),
    ],
)
def test_what_cannot_be_is_refused_at_once(tmp_path: Path, words: list[str], said: str) -> None:
    done = _study(tmp_path, *words)
    assert done.returncode == 64
    assert said in done.stderr
    assert not (tmp_path / "runs").exists()
