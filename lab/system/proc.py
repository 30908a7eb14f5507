"""What the kernel says of processes on this machine: who lives since when; ending a lab's.

A pid alone is not an identity: it is used again. An `Identity` is a pid with the time of its start since the
machine's boot, and the boot's own id. Which processes are a lab's says lab.system.processes.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.system.processes import members

__all__ = ["Identity", "command", "die_with_parent", "end_marked"]

_PR_SET_PDEATHSIG = 1
_POLL = 0.02  # seconds between two looks at /proc while processes end: they need 5-50 ms
_DEAD = frozenset("ZXx")  # states of processes that run no more


@dataclass(frozen=True)
class Identity:
    """A process that is not mistaken for a later one with the same pid."""

    pid: int
    started: int  # clock ticks since boot (proc(5), field 22)
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The identity of a living process, or None if there is none."""
        stat = _stat(pid)
        return None if stat is None or stat[0] in _DEAD else cls(pid, int(stat[19]), _boot())

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Identity:
        """The inverse of `to_json`."""
        return cls(int(data["pid"]), int(data["started"]), str(data["boot"]))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @property
    def alive(self) -> bool:
        """True while this very process runs."""
        return Identity.of(self.pid) == self


def die_with_parent(number: int = signal.SIGKILL) -> Callable[[], None]:
    """A preexec function: the child gets this signal when its parent ends, however it ends (prctl(2)).

    The signal comes when the parent's *thread* ends, so spawn from the main thread.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)

    return prepare


def command(pid: int) -> str:
    """The command line of a process, "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


async def end_marked(folder: Path, *, within: float = 10.0) -> list[int]:
    """Kill every process marked with this lab folder; returns the pids that still live after `within` seconds.

    Looks again until none is left: what is killed may have been about to fork.
    """
    deadline = time.monotonic() + within
    while True:
        pids = [pid for pid in members(folder) if Identity.of(pid)]
        if not pids or time.monotonic() > deadline:
            return pids
        for pid in pids:
            _kill(pid)
        await asyncio.sleep(_POLL)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError:  # reported by the caller: it stays in the list
        return


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from the third (state) on; the name before may hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
