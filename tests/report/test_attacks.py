"""The table of attacks as text and as JSON."""

import json
import re
from dataclasses import replace

import pytest

from lab.cli.app import app
from lab.cli.entry_point import run
from lab.report.attacks import render, render_verdict, to_json
from lab.report.html.attack_page import render_attack_page
from lab.runner.attacks.cells import Cell, CellOutcome, CellResult, judge_without_trial, list_cells
from lab.runner.attacks.reference import PACKAGED, compare, read_reference

CELL = Cell("replay", "omemo", "blind")
UNKNOWN = CellResult(CELL, CellOutcome.UNKNOWN, why="no account", folder="run")


def as_in_the_reference() -> list[CellResult]:
    """A result for every cell of the reference that comes with the lab."""
    results = []
    for cell, text in read_reference(PACKAGED).items():
        by = () if text in list(CellOutcome) else ("sender", "receiver") if text == "both" else (text,)
        outcome = CellOutcome.NOTICED if by else CellOutcome(text)
        results.append(judge_without_trial(cell) or CellResult(cell, outcome, by))
    return results


def test_the_whole_table_fits_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    results = as_in_the_reference()
    assert {one.cell for one in results} == set(list_cells())
    table = render(results).splitlines()
    assert max(map(len, table)) <= 80
    assert table[0].split() == ["attack", "trust", "omemo", "omemo:2", "otr", "plain"]
    rows = table[1 : table.index("")]
    assert [line.split()[0] for line in rows if not line.startswith(" ")] == list(
        dict.fromkeys(one.attack for one in list_cells())
    )
    replay = next(line for line in rows if line.startswith("replay"))
    assert replay.split() == ["replay", "blind", "receiver", "receiver", "receiver", "check"]
    assert any(line.startswith("check delivery    no device says so") for line in table)
    assert render_verdict(results, compare(results, read_reference(PACKAGED))).startswith("VALID: ")


def test_what_was_not_judged_says_why() -> None:
    assert "Unknown: replay omemo blind: no account." in render([UNKNOWN])
    assert "unnoticed" not in render([UNKNOWN])


def test_a_difference_is_named_with_both_results() -> None:
    found = CellResult(CELL, CellOutcome.UNNOTICED, why="read twice")
    text = render_verdict([found], compare([found], {CELL: "receiver"}))
    assert text.startswith("FAILED: of 1 cell 1 differs from the reference.")
    assert "replay omemo blind: unnoticed, in the reference receiver: read twice" in text
    assert render_verdict([UNKNOWN], compare([UNKNOWN], {CELL: "receiver"})).startswith("UNKNOWN: ")


def test_json_has_each_cell_with_its_evidence() -> None:
    data = json.loads(json.dumps(to_json([UNKNOWN], compare([UNKNOWN], {CELL: "receiver"}))))
    assert data["cells"][0] == {
        "attack": "replay", "encryption": "omemo", "trust": "blind", "result": "unknown", "outcome": "unknown",
        "by": [], "why": "no account", "checks": [], "messages": [], "run": "run",
    }  # fmt: skip
    assert data["differences"][0]["reference"] == "receiver"


def test_the_page_has_every_cell_and_escapes_what_servers_said() -> None:
    evil = replace(UNKNOWN, why="<script>alert(1)</script>")
    page = render_attack_page([*as_in_the_reference(), evil], compare([evil], {CELL: "receiver"}))
    assert "<script" not in page and "&lt;script&gt;" in page
    for one in as_in_the_reference():
        assert f">{one.cell.attack}<" in page and f">{one.text}<" in page
    assert "FAILED" not in page and "UNKNOWN" in page
    assert '<td class="text">&lt;script' in page and re.search(r"^td\.text \{ white-space: normal", page, re.M)


def test_the_page_has_its_address_printed_and_is_refused_before_the_attacks(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("lab.cli.attacks._try", lambda *_: [UNKNOWN])
    asked = ["attacks", "--runs", str(tmp_path), "--html"]
    run(app, [*asked, str(tmp_path / "table.html")])
    assert (tmp_path / "table.html").as_uri() in capsys.readouterr().out.splitlines()
    run(app, [*asked, str(tmp_path / "table.html"), "-f", "json"])
    shown = capsys.readouterr()
    assert json.loads(shown.out)
    assert (tmp_path / "table.html").as_uri() in shown.err.splitlines()
    monkeypatch.setattr("lab.cli.attacks._try", lambda *_: pytest.fail("attacks were tried"))
    assert run(app, [*asked, str(tmp_path / "nowhere" / "table.html")]) == 64
