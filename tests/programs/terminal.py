"""A client program in a terminal that a test can type into and read."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

XMPPLAB = [sys.executable, "-m", "lab.cli"]
DEADLINE = 120.0  # seconds: clients on a busy machine are slow
_POLL = 0.2
WIDTH, HEIGHT = 110, 32


class Terminal:
    """A tmux server of its own, with one program in it."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        if shutil.which("tmux") is None:
            raise RuntimeError("these tests type into terminals: install tmux")
        self._socket = folder / "tmux"
        size = ("-x", str(WIDTH), "-y", str(HEIGHT))
        self._tmux("new-session", "-d", *size, shlex.join(command))
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
        self._tmux("kill-server")

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-S", str(self._socket), "-f", "/dev/null", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
