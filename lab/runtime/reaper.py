"""Ends an owned lab of containers when its owner ends, SIGKILL included: `python -m lab.runtime.reaper FOLDER TOKEN`.

The engine keeps containers alive whoever started them, so a small process waits at a pipe whose other end only the
owner has. When the pipe ends, everything of the lab is removed by its label, then the lab's folder.

Rules: it acts only while the file `reaper` in the lab's folder holds its token (a lab that was stopped, or made
anew under the same name, is none of its business); Ctrl-C is the owner's to handle; it ends when its work is done.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

from lab.plan.layout import Layout

_FILE = "reaper"  # in the lab's folder: the token of the reaper in charge


class Leash:
    """The owner's end: holding it keeps the lab, letting go (or dying) ends it."""

    def __init__(self, layout: Layout) -> None:
        from lab.network.process import MARK

        token = secrets.token_hex(8)
        (layout.root / _FILE).write_text(token)
        held, self._end = os.pipe()  # neither is inherited: a child of the owner would keep the lab alive
        self._layout = layout
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "lab.runtime.reaper", str(layout.root), token],
                stdin=held,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, MARK: str(layout.root)},
                cwd="/",
            )
        finally:
            os.close(held)

    def drop(self) -> None:
        """The lab was stopped: let the reaper end without doing anything, and wait for it."""
        (self._layout.root / _FILE).unlink(missing_ok=True)
        os.close(self._end)
        self._process.wait()


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
    from lab.network import labfolder
    from lab.runtime import state
    from lab.runtime.containers import Containers

    try:
        async with state.locked(layout):  # a sweep may be at it
            if in_charge(layout, token):
                await Containers().stop(layout)
                labfolder.remove(layout)
    except FileNotFoundError:  # and was faster
        return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
