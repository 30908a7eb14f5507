"""How much of the processor a process may have: the cores it may run on, and the quota of its control group.

A container with `--cpus 0.5` has a quota of half a core; cgroups(7), versions 1 and 2, with all groups above it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


def cores(pid: int, root: Path = _ROOT, proc: Path = Path("/proc")) -> float | None:
    """Cores that a process may use at most, 0.5 for half of one; None if it is gone."""
    try:
        several = len(os.sched_getaffinity(pid))
        lines = (proc / str(pid) / "cgroup").read_text().splitlines()
    except (ProcessLookupError, FileNotFoundError):
        return None
    return min([float(several), *_quotas(lines, root)])


def _quotas(lines: list[str], root: Path) -> Iterator[float]:
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _above(root, path, _second)
        elif "cpu" in controllers.split(","):
            mounted = next((root / name for name in (controllers, "cpu") if (root / name).is_dir()), None)
            if mounted is not None:
                yield from _above(mounted, path, _first)


def _above(root: Path, path: str, read: Callable[[Path], float]) -> Iterator[float]:
    """Quotas of a group and of all above it."""
    folder = root / path.lstrip("/")
    while True:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError):  # no quota, or none to be seen
            yield read(folder)
        if folder == root or root not in folder.parents:
            return
        folder = folder.parent


def _first(folder: Path) -> float:
    quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    if quota < 0:
        raise ValueError("no quota")
    return quota / period


def _second(folder: Path) -> float:
    quota, period = map(int, (folder / "cpu.max").read_text().split())  # "max 100000" raises ValueError: no quota
    return quota / period
