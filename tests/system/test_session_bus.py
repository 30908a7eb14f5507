"""The message bus of a program: found by it, and ended with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.errors import MissingError
from lab.system import session_bus
from lab.system.processes import Identity

DEADLINE = 60
BUS = """#!/bin/sh
echo $$ >{folder}/bus
trap 'echo ended >{folder}/ended; exit' TERM
echo unix:path={folder}/socket
while :; do sleep 0.1; done
"""
BECOME = """
import os, signal
from lab.system import session_bus
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
found = {**os.environ, **session_bus.start(os.environ)}
os.execvpe("sh", ["sh", "-c", "echo $DBUS_SESSION_BUS_ADDRESS; exec sleep 600"], found)
"""


@pytest.fixture
def search_path(tmp_path: Path) -> str:
    """A PATH with a message bus that tells how it ends."""
    program = tmp_path / "dbus-daemon"
    program.write_text(BUS.format(folder=tmp_path))
    program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_it_ends_with_what_the_process_has_become(number: signal.Signals, search_path: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BECOME], env={**os.environ, "PATH": search_path}, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == f"unix:path={tmp_path}/socket\n"
        bus = int((tmp_path / "bus").read_text())
        assert Identity.of(bus) is not None
        program.send_signal(number)
        program.stdout.close()
    until = time.monotonic() + DEADLINE
    while Identity.of(bus) is not None:
        assert time.monotonic() < until, "the message bus is left behind"
        time.sleep(0.05)
    assert (tmp_path / "ended").exists(), "it was given no time to remove its socket"


@pytest.mark.parametrize(("script", "why"), [(None, "No such file"), ("exit 7", "has ended with 7, before it said")])
def test_where_there_is_none_is_said(script: str | None, why: str, tmp_path: Path) -> None:
    if script is not None:
        (tmp_path / "dbus-daemon").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "dbus-daemon").chmod(0o755)
    with pytest.raises(MissingError, match=why):
        session_bus.start({"PATH": str(tmp_path)})
