"""Reports of folders: the figures of a load, and what a reader must know first."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import UserError
from lab.load.metrics.result import Result, Usage
from lab.load.metrics.run_folder import LoadOutcome, LoadRecord, RunWriter, read
from lab.load.model.job import Job
from lab.load.report.text import render
from tests.load.synthetic_results import result


def record(folder: Path, outcome: LoadOutcome, **load: object) -> LoadRecord:
    folder.mkdir()
    with RunWriter(Job("lab", load, folder=folder)) as writer:
        writer.write_event("{}", {"event": "note", "text": "links are direct"})
        writer.finish(outcome)
    return read(folder)


def test_a_report_has_routes_machines_links_and_sentences(tmp_path: Path) -> None:
    measured = result(100, 0.05, lost=2, cores={"a": 0.5}, link=1000)
    generators = {"worker 0": [Usage(0.0, 0.0, 7 << 20)]}
    told = render(record(tmp_path / "x", LoadOutcome(measured, settled=True, generators=generators), users=5))
    lines = told.splitlines()
    assert lines[0] == "lab: 5 users, 4 s after 0 s of warm-up, 1 worker"
    assert "looks at what is due each 5 ms: p50 " in told
    (route,) = [line.split() for line in lines if line.startswith("a->b ") and " 402 " in line]
    assert route[1:7] == ["402", "402", "400", "2", "0", "0"]
    (server,) = [line.split() for line in lines if line.startswith("a  ")]
    assert server == ["a", "0.50", "5.000", "0", "MiB"]
    assert any(line.split() == ["worker", "0", "0.30", "3.000", "7", "MiB"] for line in lines)
    assert any(line.split() == ["a->b", "4000", "1.0", "10"] for line in lines)
    assert "2 lost" in told
    assert "Note: links are direct." in told
    assert "generator was the limit" not in told and "not known" not in told


def test_a_report_says_what_was_carried_where_the_job_left_it_open(tmp_path: Path) -> None:
    measured = result(100, 0.05)
    measured.plan |= {"traffic": "local", "arrivals": "closed:think=1s"}
    told = render(record(tmp_path / "x", LoadOutcome(measured, settled=True), users=5))
    assert told.startswith("lab: local, closed:think=1s, 5 users")


def test_a_report_says_when_the_generator_was_the_limit_and_when_it_was_interrupted(tmp_path: Path) -> None:
    told = render(record(tmp_path / "x", LoadOutcome(result(100, 0.05, worker=0.95), "ended by SIGINT")))
    assert "The generator was the limit: worker 0 used 0.95 of its core" in told
    assert "Interrupted: ended by SIGINT." in told
    assert "It is not known what was lost" in told


def test_a_load_that_measured_nothing_says_so(tmp_path: Path) -> None:
    empty = record(tmp_path / "x", LoadOutcome(Result(), "enough"))
    assert not empty.measured
    assert "Nothing was measured" in render(empty)


def test_only_a_loads_folder_is_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not the folder of a load"):
        read(tmp_path)


@pytest.mark.parametrize("width", [80, 120])
def test_a_report_fits_the_terminal_with_long_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = [f"{letter}{'-server' * 7}" for letter in "ab"]
    measured = result(100, 0.05, lost=2, cores={names[0]: 0.5}, worker=0.95)
    measured.routes = {"->".join(names): measured.routes["a->b"]}
    measured.links = {"->".join(names): 4000}
    folder = tmp_path / "x"
    folder.mkdir()
    with RunWriter(Job("lab", {"users": 5}, folder=folder)) as writer:
        writer.write_event("{}", {"event": "note", "text": f"the links of {names[0]} and {names[1]} are direct, " * 3})
        writer.finish(LoadOutcome(measured, "ended by SIGINT"))
    lines = render(read(folder)).splitlines()
    assert [line for line in lines if len(line) > width and "->".join(names) not in line] == []
    assert all(any(name in line for line in lines) for name in names), "a name was broken"
    assert any(line.startswith("UNKNOWN: ") for line in lines), "a verdict begins its line"
