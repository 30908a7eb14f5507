"""A client program with windows, on a display that nobody sees."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path

from lab.system.processes import die_with_parent
from tests.programs.terminal import DEADLINE

_SIZE = "1000x640x24"
_POLL = 0.3


class Display:
    """An X server of its own, with one program on it. Both end with the tests, however these end."""

    def __init__(self, folder: Path, command: list[str]) -> None:
        reading, writing = os.pipe()
        self._server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), "-screen", "0", _SIZE, "-nolisten", "tcp"],
            pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent(signal.SIGTERM), start_new_session=True,
        )  # fmt: skip
        os.close(writing)
        with os.fdopen(reading) as number:
            self._display = f":{number.readline().strip()}"
        environment = {**os.environ, "DISPLAY": self._display, "GSK_RENDERER": "cairo", "GDK_BACKEND": "x11"}
        self._output = folder / "program.log"
        with self._output.open("w") as output:
            self._program = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=die_with_parent(), start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        """What the program wrote."""
        return self._output.read_text(errors="replace")

    def has_window(self, title: str) -> bool:
        """Whether there is a visible window with this in its title."""
        return bool(self._tool("search", "--onlyvisible", "--name", title).split())

    async def focus(self, title: str, within: float = DEADLINE) -> None:
        """Wait for a visible window with this in its title, and give it the keyboard."""
        until = time.monotonic() + within
        while not (found := self._tool("search", "--onlyvisible", "--name", title).split()):
            assert self._program.poll() is None and time.monotonic() < until, f"no window {title!r}:\n{self.output}"
            await asyncio.sleep(_POLL)
        self._tool("windowfocus", "--sync", found[-1])

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        self._tool("type", "--delay", "20", line)
        self.press("Return")

    def press(self, *keys: str) -> None:
        """Press keys, by their names in X."""
        self._tool("key", "--delay", "50", *keys)

    def click(self, x: int, y: int) -> None:
        """Click at a place of the screen."""
        self._tool("mousemove", str(x), str(y), "click", "1")

    def photograph(self, path: Path) -> None:
        """Write what is shown as PNG, with ImageMagick."""
        subprocess.run(["import", "-display", self._display, "-window", "root", str(path)], check=True, timeout=60)

    def close(self) -> None:
        """End the program, all that it started, and the X server."""
        for process, group in ((self._program, True), (self._server, False)):
            if process.poll() is None:
                (os.killpg if group else os.kill)(process.pid, signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
                    process.wait()

    def _tool(self, *words: str) -> str:
        environment = {**os.environ, "DISPLAY": self._display}
        return subprocess.run(
            ["xdotool", *words], env=environment, capture_output=True, text=True, timeout=60, check=False
        ).stdout
