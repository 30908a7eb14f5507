"""What processes use: CPU seconds and memory of each server and generator, bytes of each link.

Figures are the kernel's, from /proc with the files kept open: 10 µs a process and reading, where a container
engine's own statistics take a second. A file that is open belongs to one process for good, so a pid that is used again
is never mistaken. A server is its main process with all descendants, in a container too (its processes are the host's
as well). What a process had used when it ended still counts.

Limits: CPU time comes in hundredths of a second. A child that lives shorter than `LOOK` may be missed. `rss` counts
memory that processes share once for each of them; `pss` divides it, costs up to milliseconds a reading, and needs
the right to trace the process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lab.errors import MissingError
from lab.load.metrics.result import Usage
from lab.network.control import Control

#: Seconds between two looks for new children: a look reads a file for each process of the machine.
LOOK = 2.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LONGEST = 4096  # bytes of a file read here


class _Process:
    """One process, its files open."""

    def __init__(self, pid: int) -> None:
        """Raises ProcessLookupError or FileNotFoundError if it is gone."""
        self.cpu, self.rss = 0.0, 0
        self._files = []
        try:
            for name in ("stat", "statm"):
                self._files.append(os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            self.close()
            raise

    def read(self) -> bool:
        """Take figures; False, and those of before but for memory, if it has ended."""
        try:
            stat, statm = (os.pread(file, _LONGEST, 0) for file in self._files)
        except ProcessLookupError:
            self.rss = 0
            return False
        fields = stat.rpartition(b")")[2].split()
        self.cpu = (int(fields[11]) + int(fields[12])) / _TICKS  # utime, stime: proc(5) fields 14 and 15
        self.rss = int(statm.split()[1]) * _PAGE
        return True

    def close(self) -> None:
        for file in self._files:
            os.close(file)


class Meter:
    """Reads what named groups of processes use; each group is its pids with all their descendants."""

    def __init__(self, processes: Mapping[str, Iterable[int]], *, pss: bool = False, alone: Iterable[str] = ()) -> None:
        """Of a group in `alone` descendants are somebody else's, and do not count.

        Raises MissingError if a pid cannot be seen: without the machine's /proc nothing can be metered.
        """
        self._roots = {name: set(pids) for name, pids in processes.items()}
        self._pss, self._alone = pss, frozenset(alone)
        self._living: dict[str, dict[int, _Process]] = {name: {} for name in self._roots}
        self._ended = dict.fromkeys(self._roots, 0.0)  # CPU seconds of processes that are gone
        self._looked = 0.0
        for name, pids in self._roots.items():
            for pid in pids:
                if not Path(f"/proc/{pid}").is_dir():
                    self.close()
                    raise MissingError(
                        f"{name}: there is no process {pid} here; meter on the machine that runs the servers, "
                        "outside of containers of its own"
                    )
        self.read()

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> dict[str, tuple[float, int, int | None]]:
        """CPU seconds used so far, bytes resident, bytes proportional (None unless asked for), by name."""
        if time.monotonic() - self._looked >= LOOK:
            self._look()
        return {name: self._group(name) for name in self._roots}

    def close(self) -> None:
        """Close all files."""
        for processes in self._living.values():
            for process in processes.values():
                process.close()
            processes.clear()

    def _group(self, name: str) -> tuple[float, int, int | None]:
        processes = self._living[name]
        for pid in [pid for pid, process in processes.items() if not process.read()]:
            process = processes.pop(pid)
            self._ended[name] += process.cpu
            process.close()
        used = self._ended[name] + sum(process.cpu for process in processes.values())
        pss = sum(map(_proportional, processes)) if self._pss else None
        return used, sum(process.rss for process in processes.values()), pss

    def _look(self) -> None:
        """Open the files of processes that are new."""
        self._looked = time.monotonic()
        children = _children()
        for name, roots in self._roots.items():
            known = self._living[name]
            below = _below(roots | known.keys(), {} if name in self._alone else children)
            for pid in below - known.keys():
                try:
                    known[pid] = _Process(pid)
                except (ProcessLookupError, FileNotFoundError):
                    continue  # it ended meanwhile


class Metering:
    """Readings over a load: call `take` each second, `usage` goes into a Result."""

    def __init__(self, meter: Meter, start: float, clock: Callable[[], float] = time.perf_counter) -> None:
        """`start` is the load's time 0 on `clock`."""
        self._meter, self._start, self._clock = meter, start, clock
        self.usage: dict[str, list[Usage]] = {}

    def take(self) -> dict[str, Usage]:
        """A reading of all, kept and returned."""
        readings = self._meter.read()
        at = self._clock() - self._start
        found = {name: Usage(at, cpu, rss, pss) for name, (cpu, rss, pss) in readings.items()}
        for name, reading in found.items():
            self.usage.setdefault(name, []).append(reading)
        return found


def machine() -> float:
    """CPU seconds that the cores which we may use have spent so far, on whatever it was.

    Time that a hypervisor gave to others (steal, proc_stat(5)) counts: nobody here could have it.
    """
    ours = {b"cpu%d" % core for core in os.sched_getaffinity(0)}
    lines = (line.split() for line in Path("/proc/stat").read_bytes().splitlines())
    # user nice system idle iowait irq softirq steal
    ticks = (sum(map(int, (*line[1:4], *line[6:9]))) for line in lines if line and line[0] in ours)
    return sum(ticks) / _TICKS


async def link_bytes(control: Control) -> dict[str, int]:
    """Bytes that went over each link so far, by direction "a->b", whoever opened the connection.

    That is what a sent on connections of its own, and what it answered on those of b. Direct links have no relay
    and are not in it.
    """
    status: dict[str, Any] = await control.call("status")
    found: dict[str, int] = {}
    for relay in status["relays"]:
        a, b = relay["source"], relay["target"]
        for route, count in ((f"{a}->{b}", relay["bytes"]), (f"{b}->{a}", relay["answer_bytes"])):
            found[route] = found.get(route, 0) + count
    return found


def grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """What was added between two readings of `link_bytes`."""
    return {name: count - before.get(name, 0) for name, count in after.items()}


def _children() -> dict[int, list[int]]:
    """Pids of the children of each process of the machine."""
    found: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            stat = Path(entry.path, "stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        found.setdefault(int(stat.rpartition(b")")[2].split()[1]), []).append(int(entry.name))
    return found


def _below(roots: Iterable[int], children: Mapping[int, list[int]]) -> set[int]:
    """The roots and all their descendants."""
    found: set[int] = set()
    left = list(roots)
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left += children.get(pid, [])
    return found


def _proportional(pid: int) -> int:
    """Bytes of a process, shared ones divided; 0 if it is gone. Raises MissingError if it may not be asked."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    except PermissionError as error:
        raise MissingError(f"process {pid} is somebody else's: read without pss, or as its owner") from error
    line = next((line for line in text.splitlines() if line.startswith(b"Pss:")), b"Pss: 0 kB")
    return int(line.split()[1]) * 1024
