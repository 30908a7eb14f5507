"""Ends an owned lab of containers when its owner ends, SIGKILL included.

Run as `python -m lab.runtime.containers.reaper FOLDER TOKEN`.

Containers keep running when the process that started them ends. So a small process, the reaper, reads from a pipe whose
other end only the owner has. At the end of the pipe it removes everything of the lab by its label, then the folder.

Rules: the reaper acts only with the lab's lock held, and only while the file `reaper` in the lab's folder has its token
(a lab that was deleted, or made again under the same name, is not its own); it ignores Ctrl-C, which the owner handles;
it ends when its work is done. An owner that takes its lab down releases the lease first: if the owner is killed then,
the reaper still ends the lab.
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
from lab.system.subprocesses import build_python_command

_FILE = "reaper"  # in the lab's folder: the token of the lab's reaper
_PATIENCE = 5.0  # seconds that the reaper of an ended lab may need to end


class Lease:
    """The owner's end of the pipe: the lab runs until the lease is released or the owner ends."""

    def __init__(self, layout: Layout) -> None:
        token = secrets.token_hex(8)
        write_private(layout.root / _FILE, token.encode())
        held, self._end = os.pipe()  # neither is inherited: a child process of the owner would keep the lab running
        try:
            self._process = subprocess.Popen(
                build_python_command("lab.runtime.containers.reaper", str(layout.root), token),
                stdin=held,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        finally:
            os.close(held)

    def release(self) -> None:
        """Close the pipe, with the lab's lock held: the reaper ends the lab unless its folder is deleted first."""
        os.close(self._end)
        atexit.register(self._ended)

    def _ended(self) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)


def main(folder: str, token: str) -> None:
    """Wait for the end of standard input, then end the lab if the token is still this reaper's."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1024):
        pass
    layout = Layout(Path(folder))
    if is_responsible(layout, token):
        asyncio.run(_reap(layout, token))


def is_responsible(layout: Layout, token: str) -> bool:
    """Whether the lab in that folder is still the one that this reaper was started for."""
    try:
        return (layout.root / _FILE).read_text() == token
    except FileNotFoundError:
        return False


async def _reap(layout: Layout, token: str) -> None:
    from lab.network import lab_folder
    from lab.runtime.containers.engine import shared_engine
    from lab.runtime.containers.removal import end
    from lab.runtime.lab_record import locked

    try:
        async with locked(layout):  # a sweep may hold it
            if is_responsible(layout, token):
                await end(shared_engine(), layout)
                lab_folder.remove(layout)
    except FileNotFoundError:  # the sweep has deleted it
        return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
