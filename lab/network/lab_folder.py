"""A lab's folder as a thing that is held and deleted: by whoever ends the lab, its service or its reaper among them.

Rules:
- whoever deletes holds the lab's lock (flock, so that it ends with its holder, SIGKILL included);
- only what is a lab's folder is deleted: no symbolic link, and a record, or nothing but what a lab begins with;
- the record goes last, then the lock: a deletion that was killed leaves a folder that is known for a lab's.
"""

from __future__ import annotations

import fcntl
import os
import shutil

from lab.errors import UserError
from lab.plan.layout import Layout


def try_lock(layout: Layout) -> int | None:
    """The lab's lock as a file descriptor, or None if somebody holds it. Raises FileNotFoundError without a folder."""
    while True:
        descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _same(descriptor, layout):
            return descriptor
        os.close(descriptor)  # the lab went away while we waited: that was the lock of the old folder


def empty(layout: Layout) -> None:
    """Delete everything of a lab but its folder and its lock. Raises UserError if it is no lab's folder."""
    check(layout)
    for entry in layout.root.iterdir():
        if entry in (layout.lock, layout.state):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
    layout.state.unlink(missing_ok=True)


def remove(layout: Layout) -> None:
    """Delete a lab's folder, by whoever holds its lock: who waits for it sees that the lab is gone.

    Raises UserError if it is no lab's folder.
    """
    empty(layout)
    layout.lock.unlink(missing_ok=True)
    layout.root.rmdir()


def check(layout: Layout) -> None:
    """Raises UserError for a folder that nobody but its owner may delete: a link, or one with other things in it."""
    if layout.root.is_symlink():
        raise UserError(f"{layout.root} is a symbolic link and no lab's folder: move it away")
    if not layout.lock.exists():
        raise UserError(f"{layout.root} is no lab's folder: nobody has ever held it")
    if layout.state.exists():
        return
    begun = (layout.lock.name, f".{layout.state.name}.")  # a lab that was killed before it had a record
    if others := [entry.name for entry in layout.root.iterdir() if not entry.name.startswith(begun)]:
        raise UserError(f"{layout.root} is no lab's folder, there is {others[0]} in it: move it away")


def _same(descriptor: int, layout: Layout) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), layout.lock.stat())
    except FileNotFoundError:
        return False
