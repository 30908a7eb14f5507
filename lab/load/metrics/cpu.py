"""Processor cores: how many a process may use, and pinning of servers and generator to cores of their own.

What a process may use is limited by the cores that it may run on and by the quota of its control group, with all groups
above it (cgroups(7), versions 1 and 2): a container with `--cpus 0.5` has a quota of half a core.

With pinning neither servers nor generator take time from the other. The generator's workers get the last cores of the
machine, one each; servers share the others with the lab's relays and names. A process is pinned with its present
children and threads. That needs the right to: one's own processes, or root.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lab.errors import MissingError, UserError

_CGROUPS = Path("/sys/fs/cgroup")


def read_allowed_cores(pid: int, root: Path = _CGROUPS, proc: Path = Path("/proc")) -> float | None:
    """Cores that a process may use at most, 0.5 for half of one; None if it has ended."""
    try:
        count = len(os.sched_getaffinity(pid))
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except (ProcessLookupError, FileNotFoundError):
        return None
    return min([float(count), *_quotas(lines, root)])


def _quotas(lines: list[str], root: Path) -> Iterator[float]:
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _quotas_up_to(root, path, _read_version_2)
        elif "cpu" in controllers.split(","):
            mounted = next((root / name for name in (controllers, "cpu") if (root / name).is_dir()), None)
            if mounted is not None:
                yield from _quotas_up_to(mounted, path, _read_version_1)


def _quotas_up_to(root: Path, path: str, read: Callable[[Path], float]) -> Iterator[float]:
    """Quotas of a group and of all groups above it."""
    folder = root / path.lstrip("/")
    while True:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):  # no quota, or it is not visible
            yield read(folder)
        if folder == root or root not in folder.parents:
            return
        folder = folder.parent


def _read_version_1(folder: Path) -> float:
    quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    if quota < 0:
        raise ValueError("no quota")
    return quota / period


def _read_version_2(folder: Path) -> float:
    quota, period = map(int, (folder / "cpu.max").read_text().split())  # "max 100000" raises ValueError: no quota
    return quota / period


class CpuPinning:
    """Pins processes to cores, and restores what they had."""

    def __init__(self) -> None:
        self._before: dict[int, set[int]] = {}  # by thread

    def pin(self, pid: int, cores: Iterable[int]) -> None:
        """Pin a process with its children and all threads. Raises MissingError if it is another user's."""
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

    def restore(self) -> None:
        """Give every thread that still lives the cores that it had."""
        for thread, before in self._before.items():
            with contextlib.suppress(ProcessLookupError, PermissionError):  # ended, and the number may be another's now
                os.sched_setaffinity(thread, before)
        self._before.clear()


def split_cores(workers: int, cores: Iterable[int] | None = None) -> tuple[list[int], list[int]]:
    """Cores of the servers, and of the workers one by one. Raises UserError with the number that would work."""
    available = sorted(os.sched_getaffinity(0) if cores is None else cores)
    if workers >= len(available):
        most = len(available) - 1
        raise UserError(
            f"--pin gives each of {workers} workers a core: of {len(available)} cores none remains for the servers: "
            + (f"use at most {most} worker{'s' * (most > 1)}" if most else "remove --pin")
        )
    return available[: len(available) - workers], available[len(available) - workers :]


def describe_pinning(servers: Iterable[str], cores: tuple[list[int], list[int]]) -> str:
    """What was pinned, for a report; `cores` as `split_cores` returns them."""
    shared, own = cores
    several = "cores" if len(shared) > 1 else "core"
    workers = ", ".join(f"worker {number} has core {core}" for number, core in enumerate(own))
    return (
        f"pinned: {', '.join(servers)} and the lab's relays and names share {several} "
        f"{', '.join(map(str, shared))}; {workers}; the coordinator is not pinned"
    )


def _threads(pid: int) -> Iterator[int]:
    """Threads of a process and of all its descendants, as they are now."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield int(task.name)
            for child in (task / "children").read_text().split():
                yield from _threads(int(child))
