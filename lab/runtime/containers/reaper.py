"""Ends an owned lab of containers when its owner ends, SIGKILL included.

Run as `python -m lab.runtime.containers.reaper FOLDER TOKEN`.

The engine keeps containers alive whoever started them, so a small process waits at a pipe whose other end only the
owner has. When the pipe ends, everything of the lab is removed by its label, then the lab's folder.

Rules: it acts only with the lab's lock held, and while the file `reaper` in the lab's folder has its token (a lab that
was deleted, or made anew under the same name, is none of its business); Ctrl-C is the owner's to handle; it ends when
its work is done. So an owner that takes its lab down lets go first: whatever happens to it then, the lab ends.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

from lab.plan.layout import Layout
from lab.system.files import write_private

_FILE = "reaper"  # in the lab's folder: the token of the reaper in charge
_PATIENCE = 5.0  # seconds that reapers of labs that are gone may take to see it


class Lease:
    """The owner's end: holding it keeps the lab, letting go (or dying) ends it."""

    def __init__(self, layout: Layout) -> None:
        token = secrets.token_hex(8)
        write_private(layout.root / _FILE, token.encode())
        held, self._end = os.pipe()  # neither is inherited: a child of the owner would keep the lab alive
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lab.runtime.containers.reaper", str(layout.root), token],
                stdin=held,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(held)

    def drop(self) -> None:
        """Let go, with the lab's lock held: the reaper ends once the lab's folder is gone, or ends the lab if we do."""
        os.close(self._end)
        atexit.register(self._ended)

    def _ended(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)


def main(folder: str, token: str) -> None:
    """Wait for the end of standard input, then end the lab if it is still ours."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    layout = Layout(Path(folder))
    if in_charge(layout, token):
        asyncio.run(_reap(layout, token))


def in_charge(layout: Layout, token: str) -> bool:
    """Whether the lab in that folder is still the one that this reaper was started for."""
    try:
        return (layout.root / _FILE).read_text() == token
    except FileNotFoundError:
        return False


async def _reap(layout: Layout, token: str) -> None:
    from lab.network import lab_folder
    from lab.runtime.containers.engine import shared
    from lab.runtime.containers.stop import end
    from lab.runtime.record import locked

    try:
        async with locked(layout):  # a sweep may be at it
            if in_charge(layout, token):
                await end(shared(), layout)
                lab_folder.remove(layout)
    except FileNotFoundError:  # and was faster
        return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
