"""A client program in a terminal that a test can type into and read."""

from __future__ import annotations

import asyncio
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from lab.system.processes import die_with_parent

XMPPLAB = [sys.executable, "-m", "lab.cli"]
DEADLINE = 120.0  # seconds: clients on a busy machine are slow
_POLL = 0.2
WIDTH, HEIGHT = 110, 32


class Terminal:
    """A tmux server of its own, with one program in it."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        self._socket = folder / "tmux"
        words = self._build_command("-D")  # no daemon, so that it ends with the tests, however they end
        self._server = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent(signal.SIGTERM), start_new_session=True
        )
        size = ("-x", str(WIDTH), "-y", str(HEIGHT))
        until = time.monotonic() + DEADLINE
        while (done := self._call("new-session", "-d", *size, shlex.join(command))).returncode:
            assert time.monotonic() < until and self._server.poll() is None, done.stderr
            time.sleep(_POLL)
        self._tmux("set-option", "-g", "remain-on-exit", "on")

    def screen(self) -> str:
        """What it shows, with what has left it at the top."""
        return self._tmux("capture-pane", "-p", "-J", "-S", "-500")

    async def type(self, line: str) -> None:
        """Type a line and press Enter."""
        self._tmux("send-keys", "-l", line)
        self._tmux("send-keys", "Enter")

    async def shows(self, text: str, within: float = DEADLINE) -> None:
        """Return once it shows a text."""
        until = time.monotonic() + within
        while text not in self.screen():
            assert time.monotonic() < until, f"{text!r} is not shown:\n{self.screen()}"
            await asyncio.sleep(_POLL)

    def close(self) -> None:
        """End the program."""
        self._server.terminate()
        self._server.wait(DEADLINE)

    def _tmux(self, *words: str) -> str:
        done = self._call(*words)
        done.check_returncode()
        return done.stdout

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._build_command("-N", *words), capture_output=True, text=True, timeout=60)

    def _build_command(self, *words: str) -> list[str]:
        return ["tmux", "-S", str(self._socket), "-f", "/dev/null", *words]
