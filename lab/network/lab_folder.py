"""A lab's folder: whether its service runs, and how the folder is deleted, by a command, the service or the reaper.

Rules:
- who deletes holds the lab's lock (`layout.lock`, see lab/system/locks.py);
- only a lab's folder is deleted: no symbolic link, and one with a record or with nothing but what a lab begins with;
- the record is deleted last, then the lock: a deletion that was killed leaves a folder that is known as a lab's.
"""

from __future__ import annotations

import shutil

from lab.errors import UserError
from lab.plan.layout import Layout
from lab.system.locks import is_locked


def is_service_running(layout: Layout) -> bool:
    """True while the lab's service runs: it holds a lock, which ends with it."""
    return is_locked(layout.service_lock)


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
    """Delete a lab's folder; the caller holds its lock, and who waits for the lock then sees that the lab is deleted.

    Raises UserError if it is no lab's folder.
    """
    empty(layout)
    layout.lock.unlink(missing_ok=True)
    layout.root.rmdir()


def refuse_foreign(layout: Layout) -> None:
    """Raises UserError for a folder that is not a lab's: a link, or one with files and neither a lock nor a record.

    To be called before anything is written into it, the lock included. An empty folder, or none, is nobody's.
    """
    if layout.root.is_symlink():
        raise UserError(f"{layout.root} is a symbolic link and no lab's folder: move it away")
    if not layout.root.is_dir() or layout.lock.exists() or layout.state.exists():
        return
    if others := [entry.name for entry in layout.root.iterdir()]:
        raise UserError(f"{layout.root} is no lab's folder, there is {others[0]} in it: move it away")


def check(layout: Layout) -> None:
    """Raises UserError for a folder that must not be deleted as a lab's: a link, or one with other files in it."""
    if layout.root.is_symlink():
        raise UserError(f"{layout.root} is a symbolic link and no lab's folder: move it away")
    if not layout.lock.exists():
        raise UserError(f"{layout.root} is no lab's folder: there is no lock in it")
    if layout.state.exists():
        return
    begun = (layout.lock.name, f".{layout.state.name}.")  # a lab that was killed before it had a record
    if others := [entry.name for entry in layout.root.iterdir() if not entry.name.startswith(begun)]:
        raise UserError(f"{layout.root} is no lab's folder, there is {others[0]} in it: move it away")
