"""Processes of this machine: their identity, which of them belong to a lab, how they end, how many files they may open.

Every process of a lab has XMPPLAB_LAB=<lab folder> in its environment: ejabberd's helpers start sessions of their own,
so that neither process groups nor parents find all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import resource
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.errors import MissingError

MARK = "XMPPLAB_LAB"
SERVER_UID = 61747  # uid and gid of servers that root starts; unused by others, and no passwd entry is needed
OPEN_FILES = 65_536  # descriptors wanted: two per connection through a relay, a few per server
FILES_AT_LEAST, FILES_A_SERVER, FILES_A_RELAY = 48, 3, 6  # a relay: listener, and two a connection

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_POLL = 0.02  # seconds between two reads of /proc while processes end: they need 5-50 ms
_DEAD = frozenset("ZXx")  # states of processes that run no more


@dataclass(frozen=True)
class Identity:
    """A process. A pid alone is used again: with the time of its start and the boot's id it is never another one."""

    pid: int
    started: int  # clock ticks since boot (proc(5), field 22)
    boot: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The identity of a living process, or None if there is none."""
        stat = _stat(pid)
        return None if stat is None or stat[0] in _DEAD else cls(pid, int(stat[19]), _boot())

    @classmethod
    def own(cls) -> Identity:
        """The identity of this process."""
        identity = cls.of(os.getpid())
        assert identity is not None
        return identity

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

    The kernel sends the signal when the parent's *thread* ends, so spawn from the main thread.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)

    return prepare


def read_command_line(pid: int) -> str:
    """The command line of a process, "" if it does not exist any more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def describe_processes(pids: Iterable[int]) -> tuple[str, ...]:
    """The pid and command line of each process, as an error quotes them."""
    return tuple(f"{pid} {read_command_line(pid)}" for pid in pids)


def find_marked() -> dict[str, list[int]]:
    """Living processes that carry the mark, by lab folder: our own, or everybody's as root.

    Only those to which the folder's name means what it means to us, see `identify_file_view`.
    """
    found: dict[str, list[int]] = {}
    prefix, here = f"{MARK}=".encode(), identify_file_view()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        for line in _environment(entry.path):
            if line.startswith(prefix) and identify_file_view(entry.name) == here:
                found.setdefault(os.fsdecode(line[len(prefix) :]), []).append(int(entry.name))
    return found


def find_members(folder: Path) -> list[int]:
    """Living processes of the lab in `folder` but for this one, as far as this user may see them."""
    return [pid for pid in find_marked().get(str(folder), []) if pid != os.getpid()]


def identify_file_view(process: int | str = "self") -> str:
    """Which folders a process sees: those of its mount namespace, below its root folder (a chroot has another).

    Processes with the same view mean the same by a folder's name. "" where that cannot be seen.
    """
    try:
        root = Path(f"/proc/{process}/root").stat()
        return f"{Path(f'/proc/{process}/ns/mnt').readlink()}@{root.st_dev}:{root.st_ino}"
    except OSError:  # it has ended, is another user's, or this is another system
        return ""


def kill_members(folder: Path) -> int:
    """Send SIGKILL to every process of a lab but this one; how many there were."""
    pids = find_members(folder)
    _kill(pids)
    return len(pids)


async def end_members(folder: Path, *, within: float = 10.0) -> list[int]:
    """Kill every process of a lab but this one; returns the pids that still live after `within` seconds.

    Looks again until none is left: what is killed may have been about to fork.
    """
    deadline = time.monotonic() + within
    while True:
        pids = [pid for pid in await asyncio.to_thread(find_members, folder) if Identity.of(pid)]
        if not pids or time.monotonic() > deadline:
            return pids
        _kill(pids)
        await asyncio.sleep(_POLL)


def raise_limits() -> None:
    """Allow this process, and what it starts, as many open files as it may have, up to OPEN_FILES."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check_limits(servers: int, relays: int) -> None:
    """Raises MissingError if a service with so many servers and relays will run out of open files."""
    wanted = FILES_AT_LEAST + FILES_A_SERVER * servers + FILES_A_RELAY * relays
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise MissingError(
            f"the service of a lab of {servers} servers needs about {wanted} open files and may have {hard}: "
            "raise the hard limit (ulimit -Hn), or use fewer servers"
        )


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _environment(process: str) -> list[bytes]:
    try:
        return Path(process, "environ").read_bytes().split(b"\0")  # empty for a zombie
    except OSError:  # it has ended, or is another user's
        return []


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from the third (state) on; the name before may hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
