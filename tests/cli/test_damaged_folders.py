"""Whatever is damaged in the folder of a run, a load or a study: the exit code is of a verdict, or 64 with the file.

Every value of every JSON file is replaced by one of each other type, by numbers that cannot be, or taken out; lines are
cut off, files are missing or are something else. What is wrong with a value is said with file and line.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from lab.cli.app import app
from lab.cli.entry_point import run
from lab.errors import NotReady
from lab.history.recorder import Recorder
from lab.load.analysis.study import StudyRun, compute_figures, compute_graph_metrics
from lab.load.analysis.study_folder import build_contents, build_run_entry, write_study
from lab.load.capacity.search import Limit, Trial
from lab.load.coordinator.provisioning import adapt_topology
from lab.load.metrics.result import Usage
from lab.load.metrics.run_folder import LoadOutcome, RunWriter, read
from lab.load.model.job import Job
from lab.load.study_execution import build_search_entry
from lab.plan import files
from lab.plan.build import build
from lab.runner import folders
from lab.topology.files import load
from tests.checks.sample_history import SampleHistory
from tests.load.synthetic_results import result

Build = Callable[[Path], list[list[str]]]  # makes folders; the command lines that read the first
DELETED = object()
#: One of each type, and what no arithmetic can take.
OTHERS = (None, True, 0, -1, 7, 1.5, 1e999, float("nan"), -(10**40), 10**25, "", "x", "\ud800", "\x1b[31m", [], ["x"],
          [[1]], {}, {"x": 1}, {"x": {"y": None}}, DELETED)  # fmt: skip
#: In an ordinary test run each value is replaced by every seventh of these, the next one by the following ones.
ROUNDS = 7
#: How many of the values whose paths differ only in indices are damaged: all are read in the same way.
FEW = 3
GOOD = {0, 1, 2, 3, 64}  # 3: a study that is resumed would go on


def _run(root: Path) -> list[list[str]]:
    folder = root / "run"
    folder.mkdir()
    told = SampleHistory()
    alice, bob = told.device("alice", "island"), told.device("bob", "home")
    told.say(alice, bob)
    told.say(bob, alice, canary="canary-0123456789")
    told.expect()
    told.finish()
    (folder / folders.PLAN).write_text(files.dump(told.plan))
    with Recorder(folder / folders.HISTORY) as recorder:
        for event in told.events:
            recorder.record(event)
    verbs = [["check"], ["report"], ["report", "-f", "json"], ["report", "-f", "svg"], ["report", "-f", "mermaid"]]
    verbs += [["exposure"], ["diff", str(folder)]]
    return [[*verb, str(folder)] for verb in verbs]


def _write_load(folder: Path) -> None:
    folder.mkdir()
    job = Job("lab-1", {"users": 4, "traffic": "neighbours", "arrivals": "constant:25/s"}, folder=folder, name="chat",
              bounds={"p99": 0.2, "loss": 0.0})  # fmt: skip
    generators = {"worker 0": [Usage(0.0, 0.1, 9), Usage(3.0, 0.4, 9)]}
    measured = result(25, 0.02, cores={"island": 0.2, "home": 0.1}, link=900)
    measured.plan |= {"traffic": "neighbours", "arrivals": "constant:25/s"}
    missing = [{"sender": "a", "receiver": "b", "sequence": 3}]
    with RunWriter(job) as writer:
        started = {"event": "started", "at": 1.7e9, "seconds": 4.0, "load": dict(job.load)}
        writer.write_event(json.dumps(started, separators=(",", ":")), started)
        writer.finish(LoadOutcome(measured, drained=True, settled=True, missing=missing, gone=[("u", "refused")],
                                  generators=generators))  # fmt: skip
    (folder / folders.PLAN).write_text(files.dump(SampleHistory().plan))


def _load(root: Path) -> list[list[str]]:
    _write_load(root / "load")
    _write_load(root / "other")
    one, other = str(root / "load"), str(root / "other")
    return [["report", one], ["report", "-f", "json", one], ["compare", one, other], ["compare", other, one]]


def _study(root: Path) -> list[list[str]]:
    _write_load(root / "load")
    record = read(root / "load")
    topology = SampleHistory().plan.topology
    runs = [
        StudyRun(f"ring:{size}", "prosody", seed, compute_graph_metrics(topology), compute_figures(record.result))
        for size in range(3, 9)
        for seed in range(2)
    ]
    entries = [build_run_entry(record, one.topology, one.seed) for one in runs]
    (root / "study").mkdir()
    write_study(root / "study", build_contents({"load": "chat", "users": 4}, 12, entries, runs))
    return [["report", str(root / "study")], ["report", "-f", "json", str(root / "study")]]


def _resumed(root: Path) -> list[list[str]]:
    """A study that lacks the second run of one of its topologies."""
    study = root / "resumed"
    study.mkdir()
    arguments = {"topologies": ["pair", "ring:3"], "software": [], "seeds": 2, "test": "neighbours", "users": 4,
                 "rate": "25/s", "length": "4s", "warmup": "1s", "workers": 1, "arrivals": None, "pin": False,
                 "runtime": "processes"}  # fmt: skip
    runs, entries = [], []
    for name, seed in (("pair", 0), ("ring:3", 0), ("pair", 1)):
        folder = study / f"{name.replace(':', '-')}-{seed}"
        _write_load(folder)
        plan = build(adapt_topology(load(name)), SampleHistory().plan.facts)
        (folder / folders.PLAN).write_text(files.dump(plan))
        record = read(folder)
        runs.append(
            StudyRun(name, "prosody", seed, compute_graph_metrics(plan.topology), compute_figures(record.result))
        )
        entries.append(build_run_entry(record, name, seed))
    write_study(study, build_contents({"load": "neighbours", "users": 4}, 4, entries, runs, arguments))
    return [["study", "--resume", str(study)]]


def _searched(root: Path) -> list[list[str]]:
    """A study of highest rates that lacks the second run of one of its topologies."""
    study = root / "searched"
    study.mkdir()
    arguments = {"topologies": ["pair", "ring:3"], "software": [], "seeds": 2, "test": "neighbours", "users": 4,
                 "rate": "25/s", "length": "4s", "warmup": "1s", "workers": 1, "arrivals": None, "pin": False,
                 "runtime": "processes", "find_limit": "p99=1s,loss=0"}  # fmt: skip
    measured = result(25, 0.02, cores={"island": 0.2}, link=900)
    trials = (Trial(25.0, (), False, measured), Trial(50.0, ("nothing was received",), True, measured))
    limit, runs, entries = Limit(25.0, True, "server a", "at 50/s it was busy", trials), [], []
    for name, seed in (("pair", 0), ("ring:3", 0), ("pair", 1)):
        folder = study / f"{name.replace(':', '-')}-{seed}"
        folder.mkdir()
        plan = build(adapt_topology(load(name)), SampleHistory().plan.facts)
        (folder / folders.PLAN).write_text(files.dump(plan))
        figures = {"limit": limit.rate, **compute_figures(measured)}
        runs.append(StudyRun(name, "prosody", seed, compute_graph_metrics(plan.topology), figures))
        entries.append(build_search_entry(folder.name, limit, figures, name, seed))
    asked = {"load": "neighbours", "users": 4, "find_limit": "p99=1s,loss=0"}
    write_study(study, build_contents(asked, 4, entries, runs, arguments))
    return [["report", str(study)], ["study", "--resume", str(study)]]


def _start(*_: object) -> None:
    raise NotReady("a lab would be started")


@pytest.fixture(autouse=True)
def no_drawings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XMPPLAB_HOME", str(tmp_path / "home"))
    built = typer.main.get_command(app)  # takes longer than what a verb does here
    monkeypatch.setattr(typer.main, "get_command", lambda _: built)
    monkeypatch.setattr("lab.load.study_execution._run_folder", _start)
    for module in ("load_charts", "study_page"):  # a drawing takes tenths of a second; what goes into it is computed
        monkeypatch.setattr(f"lab.load.report.html.{module}.render_svg", lambda *_, **__: "<svg/>")


def _paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _paths(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _paths(value, (*path, index))


def _replaced(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copied = copy.copy(data)
    if value is DELETED and len(path) == 1:
        del copied[path[0]]
    else:
        copied[path[0]] = _replaced(data[path[0]], path[1:], value)
    return copied


def _kind(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """Paths that differ only in indices are of one kind, for which a few are enough."""
    return tuple("*" if isinstance(step, int) else step for step in path)


def _damaged(data: Any, few: int, turn: int) -> Iterator[tuple[str, Any]]:
    seen: dict[tuple[Any, ...], int] = {}
    for path in _paths(data):
        kind = _kind(path)
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= few:
            for value in OTHERS[(len(seen) + turn) % ROUNDS :: ROUNDS]:
                if value is not DELETED or path:
                    yield f"{path} = {value!r}", _replaced(data, path, value)


def _texts(path: Path, few: int, turn: int) -> Iterator[tuple[str, bytes]]:
    """What the file might be instead: with one value damaged, cut off, or something else altogether."""
    text = path.read_text()
    if path.suffix == ".jsonl":
        lines = text.splitlines()
        done: dict[str, int] = {}
        for number, line in enumerate(lines):
            event = json.loads(line)
            done[event["event"]] = done.get(event["event"], 0) + 1
            if done[event["event"]] <= few:
                for what, data in _damaged(event, few, turn):
                    yield (
                        f"line {number + 1}: {what}",
                        "\n".join([*lines[:number], json.dumps(data), *lines[number + 1 :], ""]).encode(),
                    )
    else:
        for what, data in _damaged(json.loads(text), few, turn):
            yield what, json.dumps(data, indent=1).encode()
    for size in (0, 1, len(text) // 3, len(text) // 2, len(text) - 3, len(text) - 1):
        yield f"cut off after {size}", text.encode()[:size]
    for other in (
        b"\xff\xfe",
        b"\0" * 20,
        b"[" * 100_000,
        b"null",
        b'"x"',
        b"{}",
        b"[]",
        b"{}\n{}\n",
        b"1e999",
        b"NaN",
    ):
        yield repr(other[:20]), other


def _codes(commands: list[list[str]], capsys: pytest.CaptureFixture[str]) -> list[tuple[int, str]]:
    found = []
    for command in commands:
        code = run(app, command)
        found.append((code, capsys.readouterr().err))
    return found


FILES = pytest.mark.parametrize(
    ("make", "name"),
    [(_run, "history.jsonl"), (_run, "plan.json"), (_load, "result.json"), (_load, "load.json"), (_load, "plan.json"),
     (_load, "samples.jsonl"), (_study, "study.json"), (_resumed, "study.json"), (_resumed, "pair-0/plan.json"),
     (_resumed, "pair-0/result.json"), (_resumed, "pair-0/load.json"),
     (_searched, "study.json")],
)  # fmt: skip


@FILES
def test_no_damage_is_an_internal_error(
    make: Build, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _try_damage(make, name, tmp_path, capsys, few=1, turn=0)


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(ROUNDS))
@FILES
def test_no_damage_at_all_is_an_internal_error(
    make: Build, name: str, turn: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _try_damage(make, name, tmp_path, capsys, few=FEW, turn=turn)


def _try_damage(make: Build, name: str, root: Path, capsys: pytest.CaptureFixture[str], *, few: int, turn: int) -> None:
    commands = make(root)
    path = root / make.__name__.removeprefix("_") / name
    whole = _codes(commands, capsys)
    assert {code for code, _ in whole} <= GOOD - {64}, whole
    kept, wrong, tried = root / "kept", [], 0
    shutil.copytree(path.parent, kept)
    place = re.compile(rf"{re.escape(str(path))}:[0-9]+: ")
    for what, data in _texts(kept / path.name, few, turn):
        path.write_bytes(data)
        tried += 1
        for (code, said), command in zip(_codes(commands, capsys), commands, strict=True):
            if code not in GOOD or (code == 64 and not place.search(said)):
                wrong.append(f"{what}: {command[0]} ends with {code}: {said.strip().splitlines()[:1]}")
    assert not wrong, f"{len(wrong)} of {tried}:\n" + "\n".join(wrong[:40])


@pytest.mark.parametrize("make", [_run, _load, _study, _resumed])
@pytest.mark.parametrize("how", ["missing", "folder", "fifo", "link to itself"])
def test_files_that_are_something_else(
    make: Build, how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = make(tmp_path)
    folder = tmp_path / make.__name__.removeprefix("_")
    for path in sorted(folder.iterdir()):
        kept = tmp_path / "kept"
        shutil.move(path, kept)
        if how == "folder":
            path.mkdir()
        elif how == "fifo":
            os.mkfifo(path)
        elif how == "link to itself":
            path.symlink_to(path)
        for code, said in _codes(commands, capsys):
            assert code in GOOD, (path.name, how, code, said)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        shutil.move(kept, path)
