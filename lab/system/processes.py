"""Processes as the kernel tells of them: which one it is, which belong to a lab; and unix sockets below long paths.

Every process of a lab carries XMPPLAB_LAB=<lab folder> in its environment: ejabberd's helpers make sessions of
their own, so that neither process groups nor parents find all of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

from lab.errors import MissingError
from lab.plan.layout import Layout

MARK = "XMPPLAB_LAB"
SERVER_UID = 61747  # uid and gid of servers that root starts; nobody's, and no passwd entry is needed
OPEN_FILES = 65_536  # descriptors wanted: two per connection through a relay, a few per server
FILES_AT_LEAST, FILES_A_SERVER, FILES_A_RELAY = 48, 3, 6  # a relay: listener, and two a connection
LONGEST_SOCKET_PATH = 107  # bytes (sockaddr_un, unix(7))


def identity(pid: int) -> dict[str, int | str] | None:
    """Pid, start time in ticks since boot (proc(5), field 22) and boot id; None if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in "ZX":
        return None
    return {"pid": pid, "started": int(fields[19]), "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip()}


def marked() -> dict[str, list[int]]:
    """Living processes that carry the mark, by lab folder: our own, or everybody's as root.

    Only those to which the folder's name means what it means to us, see `place`.
    """
    found: dict[str, list[int]] = {}
    prefix, here = f"{MARK}=".encode(), place()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        for line in _environment(entry.path):
            if line.startswith(prefix) and place(entry.name) == here:
                found.setdefault(os.fsdecode(line[len(prefix) :]), []).append(int(entry.name))
    return found


def members(folder: Path) -> list[int]:
    """Living processes of the lab in `folder` but for the one that asks, as far as this user may see them."""
    return [pid for pid in marked().get(str(folder), []) if pid != os.getpid()]


def _environment(process: str) -> list[bytes]:
    try:
        return Path(process, "environ").read_bytes().split(b"\0")  # empty for a zombie
    except OSError:  # gone, or somebody else's
        return []


def place(process: int | str = "self") -> str:
    """Which folders a process sees: those of its mount namespace, below its root folder (a chroot has another).

    Processes of one place mean the same by a folder's name. "" where that cannot be seen.
    """
    try:
        root = Path(f"/proc/{process}/root").stat()
        return f"{Path(f'/proc/{process}/ns/mnt').readlink()}@{root.st_dev}:{root.st_ino}"
    except OSError:  # gone, somebody else's, or another system
        return ""


def kill_marked(folder: Path) -> int:
    """Send SIGKILL to every process of a lab but the caller; how many there were."""
    pids = members(folder)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(pids)


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
            "raise the hard limit (ulimit -Hn), or take fewer servers"
        )


def service_alive(layout: Layout) -> bool:
    """True while a lab's service runs: it holds a lock that ends with it, however it ends."""
    return locked(layout.service_lock)


def locked(path: Path) -> bool:
    """True if some process holds this file locked for itself (flock); False without a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address for a unix socket at `path`, however long that is; holds within the block."""
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
