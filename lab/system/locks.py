"""Locks on files (flock(2)): one process holds a file; the kernel releases it when that process ends, however it ends.

A lock is an open file descriptor: closing it releases the lock. It is not inherited by programs that are started.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

POLL = 0.05  # seconds between two tries for a lock that another process holds


def try_lock(path: Path) -> int | None:
    """The file, made if it is not there, locked for this process; None while another process holds it.

    Raises FileNotFoundError without its folder, OSError if it cannot be opened.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)  # another process deleted the file between opening and locking


async def lock(path: Path, *, patience: float, poll: float = POLL, waiting: Callable[[], None] = lambda: None) -> int:
    """The file locked as by `try_lock`, tried again every `poll` seconds; `waiting` is called once if it has to wait.

    Raises TimeoutError after `patience` seconds, and what `try_lock` raises.
    """
    deadline = time.monotonic() + patience
    waited = False
    while (descriptor := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} is locked by another process")
        if not waited:
            waiting()
            waited = True
        await asyncio.sleep(poll)
    return descriptor


def is_locked(path: Path) -> bool:
    """True if some process holds the file; False without a file. It is locked shared for the moment of the question."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return is_held(descriptor)
    finally:
        os.close(descriptor)


def is_held(descriptor: int) -> bool:
    """As `is_locked`, of a file that this process has open and not locked, whatever is at its path by now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
