"""What `xmpplab ping` prints: on a terminal lines that fit into it, for programs one line for each step."""

import sys
from types import SimpleNamespace

import pytest
import typer

from lab.cli import ping as verb
from lab.runner.pings import Ping, PingSeries
from lab.runner.traces import TraceLine

STEP = TraceLine(
    1.0, 0.5, "server-one asks for SRV _xmpp-server._tcp.conference.server-two.test: SRV 0 0 20000 127.80.0.2."
)


@pytest.mark.parametrize("terminal", [True, False])
def test_lines_are_as_wide_as_the_terminal(terminal, monkeypatch, capsys) -> None:
    pings = (Ping(1, 1.0, 0.1), Ping(2, 2.0, 0.1, "remote-server-not-found"))
    link = SimpleNamespace(promise="delivered")
    series = PingSeries("server-one.test", "conference.server-two.test", "server", link, pings)

    async def answer(*arguments):
        arguments[-1](STEP)
        return "mine", series

    monkeypatch.setattr(verb, "_ping", answer)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    with pytest.raises(typer.Exit) as ended:
        verb.ping("server-one", "server-two", count=2, interval="1s", timeout="1s", name=None)
    assert ended.value.exit_code == 1
    lines = capsys.readouterr().out.splitlines()
    if terminal:
        assert max(map(len, lines)) <= 80 and lines[1].startswith(" " * 13)
        assert " ".join(" ".join(lines).split()).startswith(" ".join(str(STEP).split()))
    else:
        assert lines == [str(STEP), *verb.describe(series).splitlines()]
