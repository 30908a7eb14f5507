"""`xmpplab check` and `xmpplab report` on folders of runs."""

import json
from pathlib import Path

import pytest

from lab.cli.app import app
from lab.cli.entry_point import run
from lab.runner import folders
from tests.cli import test_damaged_folders as samples
from tests.report.test_summary import lost, story, written


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(told):
        return written(told, folders.make(folders.RUNS, "story", "three"))

    return make


def test_check_takes_the_latest_run_and_ends_with_its_code(runs, capsys):
    good, bad = runs(story().finish()), runs(lost())
    assert run(app, ["check"]) == 1
    assert capsys.readouterr().out.startswith("FAILED: Message m1")
    assert (bad / "verdict.json").exists()
    assert not (good / "verdict.json").exists()
    assert run(app, ["check", str(good)]) == 0
    assert run(app, ["check", good.name]) == 0


def test_check_without_a_run_is_bad_usage(runs, capsys):
    assert run(app, ["check"]) == 64
    assert "no run yet" in capsys.readouterr().err
    assert run(app, ["check", "nowhere"]) == 64


def test_a_damaged_history_names_its_line(runs, capsys):
    folder = runs(story().finish())
    with (folder / folders.HISTORY).open("a") as file:
        file.write("garbage\n")
    assert run(app, ["check"]) == 64
    assert f"{folders.HISTORY}:{len(story().finish().events) + 1}: not JSON" in capsys.readouterr().err


def test_report_prints_text_and_json_and_writes_nothing(runs, capsys):
    folder = runs(lost())
    assert run(app, ["report"]) == 0
    assert capsys.readouterr().out.startswith("FAILED: Message m1")
    assert run(app, ["report", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["value"] == "failed"
    assert not (folder / "verdict.json").exists()


def test_a_capture_goes_into_a_file_and_is_not_for_loads(runs, capsys, tmp_path):
    runs(story().finish())
    assert run(app, ["report", "-f", "pcapng", "-o", str(tmp_path / "run.pcapng")]) == 0
    assert (tmp_path / "run.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"
    assert run(app, ["report", "-f", "json", "-o", str(tmp_path / "none" / "run.json")]) == 64
    assert "run.json: cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--junit", "--summary"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_starts(option, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(app, ["run", "everyone_writes", "-t", "pair", option, str(tmp_path / "none" / "file")]) == 64
    assert "none/file: cannot be written" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_open_writes_the_page_and_shows_it(runs, capsys, monkeypatch):
    folder = runs(lost())
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert run(app, ["report", "--open"]) == 0
    page = (folder / "page.html").absolute()
    assert opened == [page.as_uri()] == [capsys.readouterr().out.strip()]
    assert "FAILED" in page.read_text()


def test_without_a_browser_the_address_is_what_is_left(runs, capsys, monkeypatch):
    runs(lost())
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert run(app, ["report", "--open"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("file:///") and "name one with BROWSER" in shown.err


def test_what_is_no_run_has_no_page(runs, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    assert run(app, ["report", "empty", "--open"]) == 64
    assert "empty: not the folder of a run: it has no history.jsonl" in capsys.readouterr().err
    folder = runs(lost())
    (folder / "plan.json").write_text("{")
    assert run(app, ["report", str(folder), "--open"]) == 64
    assert "plan.json" in capsys.readouterr().err
    assert not (folder / "page.html").exists()


def test_diff_names_the_first_difference_and_ends_with_its_code(runs, capsys, monkeypatch):
    good, bad = runs(story().finish()), runs(lost())
    monkeypatch.setenv("COLUMNS", "80")
    assert run(app, ["diff", str(good), str(good)]) == 0
    assert "The runs took the same course" in capsys.readouterr().out
    assert run(app, ["diff", good.name, bad.name, "-o", "both.html"]) == 1
    shown = capsys.readouterr().out
    assert "First difference: message 1 from alice@island.test to bob@home.test" in shown
    *lines, address = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert address == Path("both.html").absolute().as_uri()
    assert "The first difference" in Path("both.html").read_text()


def test_diff_opens_a_page_beside_the_second_run(runs, capsys, monkeypatch):
    good, bad = runs(story().finish()), runs(lost())
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert run(app, ["diff", str(good), str(bad), "--open"]) == 1
    assert opened == [(bad / "diff.html").absolute().as_uri()]


def test_diff_of_what_is_no_run_is_bad_usage(runs, capsys):
    good = runs(story().finish())
    assert run(app, ["diff", str(good), "nowhere"]) == 64
    assert "nowhere: there is no such folder, nor one of that name in " in capsys.readouterr().err
    assert run(app, ["diff", str(good), str(good), "-o", "nowhere/both.html"]) == 64
    assert "nowhere/both.html: cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(("chosen", "begins"), [("svg", "<svg"), ("mermaid", "sequenceDiagram")])
def test_a_run_can_be_drawn(chosen, begins, runs, capsys):
    runs(lost())
    assert run(app, ["report", "-f", chosen]) == 0
    assert capsys.readouterr().out.startswith(begins)


@pytest.mark.parametrize(("make", "title"), [(samples._load, "chat on three"), (samples._study, "Study: chat over")])
def test_pages_of_loads_and_studies_open_as_those_of_runs_do(make, title, tmp_path, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    make(tmp_path)
    folder = tmp_path / make.__name__.removeprefix("_")
    assert run(app, ["report", str(folder), "--open"]) == 0
    assert opened == [(folder / "page.html").as_uri()]
    assert title in (folder / "page.html").read_text()


def test_what_diff_and_open_cannot_do_is_said(runs, capsys, tmp_path):
    good = runs(story().finish())
    samples._load(tmp_path)
    assert run(app, ["diff", str(good), str(tmp_path / "load")]) == 64
    assert "is the folder of a load: compare two of them with `xmpplab compare`" in capsys.readouterr().err
    assert run(app, ["report", str(good), "--open", "-o", "x.html"]) == 64
    assert "--open and --output exclude each other" in capsys.readouterr().err
    assert not (good / "page.html").exists()
