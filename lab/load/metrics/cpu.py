"""Servers and generator on processor cores of their own, so that neither takes time from the other.

The generator's workers get the machine's last cores, one each; servers share the others with the lab's relays and
names. A process is moved with the children and threads that it has; `free` gives back what they had. Needs the right
to: one's own processes, or root.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lab.errors import MissingError, UserError


class Pins:
    """Which threads were moved, and from where."""

    def __init__(self) -> None:
        self._before: dict[int, set[int]] = {}

    def put(self, pid: int, cores: Iterable[int]) -> None:
        """Move a process with its children and all threads. Raises MissingError if it is somebody else's."""
        wanted, moved = set(cores), True
        while moved:  # a thread that was not moved yet may have started another meanwhile
            moved = False
            for entry in list(_threads(pid)):
                try:
                    before = os.sched_getaffinity(entry)
                    if before == wanted:
                        continue
                    os.sched_setaffinity(entry, wanted)
                except ProcessLookupError:  # a thread that has ended
                    continue
                except PermissionError as error:
                    raise MissingError(f"process {pid} is another user's and cannot be pinned: run as root") from error
                self._before.setdefault(entry, before)
                moved = True

    def free(self) -> None:
        """Give every thread that still lives what it had."""
        for thread, before in self._before.items():
            with contextlib.suppress(ProcessLookupError, PermissionError):  # ended, and the number may be another's now
                os.sched_setaffinity(thread, before)
        self._before.clear()


def split(workers: int, cores: Iterable[int] | None = None) -> tuple[list[int], list[int]]:
    """Cores of the servers, and of the workers one by one. Raises UserError with the number that would work."""
    had = sorted(os.sched_getaffinity(0) if cores is None else cores)
    if workers >= len(had):
        most = len(had) - 1
        raise UserError(
            f"--pin gives each of {workers} workers a core, and {len(had)} cores leave the servers none: "
            + (f"take at most {most} worker{'s' * (most > 1)}" if most else "leave --pin out")
        )
    return had[: len(had) - workers], had[len(had) - workers :]


def words(servers: Iterable[str], cores: tuple[list[int], list[int]]) -> str:
    """What was pinned, for a report; `cores` as `split` gives them."""
    shared, own = cores
    several = "cores" if len(shared) > 1 else "core"
    workers = ", ".join(f"worker {number} has core {core}" for number, core in enumerate(own))
    return (
        f"pinned: {', '.join(servers)} and the lab's relays and names share {several} "
        f"{', '.join(map(str, shared))}; {workers}; whoever conducts the load is not pinned"
    )


def _threads(pid: int) -> Iterator[int]:
    """Threads of a process and of all its descendants, as they are now."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield int(task.name)
            for child in (task / "children").read_text().split():
                yield from _threads(int(child))
