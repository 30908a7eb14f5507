"""Verdicts have a colour on a terminal, and nowhere else."""

import sys
from types import SimpleNamespace

import pytest

from lab.cli.app import app
from lab.cli.entry_point import run
from lab.cli.output import _print_result, print_line, print_text
from lab.runner.traces import TraceLine

TEXT = "FAILED: message m1 was lost\nruns/x\nVALID: it says \x1b[2J"


@pytest.mark.parametrize(
    ("terminal", "no_colour", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_a_verdict_is_coloured_on_a_terminal(terminal, no_colour, coloured, monkeypatch, capsys):
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    print_text(TEXT, verdicts=True)
    said = capsys.readouterr().out
    assert said.startswith("\x1b[1;31mFAILED\x1b[0m: message" if coloured else "FAILED: message")
    assert ("\x1b[1;32mVALID\x1b[0m: it" in said) == coloured
    assert "\x1b[2J" not in said, "what others wrote must not act on the terminal"


@pytest.mark.parametrize(("code", "shown"), [(0, False), (1, True), (2, True)])
def test_a_run_that_was_not_valid_leads_to_its_page(code, shown, tmp_path, capsys):
    info = SimpleNamespace(name="story")
    result = SimpleNamespace(value="x", sentence="It is so.", folder=tmp_path, exit_code=code, skipped=False)
    _print_result(info, "pair", result)
    assert "file://" not in capsys.readouterr().out, "without a page there is none to lead to"
    (tmp_path / "page.html").write_text("x")
    _print_result(info, "pair", result)
    assert ((tmp_path / "page.html").as_uri() in capsys.readouterr().out) == shown


@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_line_wraps_between_words_on_a_terminal_only(terminal, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "81")
    start, words = "   +1.0 ms  ", ["word"] * 20
    print_line(start + " ".join(words), 13)
    wrapped = [start + " ".join(words[:14]), " " * 13 + " ".join(words[14:])]
    assert capsys.readouterr().out.splitlines() == (wrapped if terminal else [start + " ".join(words)])


def test_the_steps_of_a_ping_wrap_between_words_on_a_terminal(monkeypatch, capsys):
    pong = SimpleNamespace(
        answered=[1], pings=[1], milliseconds={"median": 1.0}, by="server", source="a" * 50, target="b"
    )

    async def answer(*given):
        given[-1](TraceLine(0.0, None, " ".join(["word"] * 20)))
        return "lab", pong

    monkeypatch.setattr("lab.cli.ping._ping", answer)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    assert run(app, ["ping", "a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and max(map(len, lines)) <= 80
    assert lines[1].startswith(" " * 13 + "word") and lines[3].startswith("  ")
