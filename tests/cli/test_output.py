"""Verdicts have a colour on a terminal, and nowhere else."""

import sys

import pytest

from lab.cli.output import print_text

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
