"""What a load uses while it runs: CPU seconds and memory of servers, generators and the machine, bytes of each link.

Figures are the kernel's, from /proc with the files kept open: 10 µs for a process and reading, where the statistics of
a container engine take a second. An open file belongs to one process for good, so a pid that is used again is never
mistaken. A server is its main process with all descendants, in a container too (the host sees its processes as well).
What a process had used when it ended still counts.

Limits: CPU time has a resolution of 0.01 s. A child that lives shorter than SCAN_INTERVAL may be missed. `rss` counts
memory that processes share once for each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from lab import packaged
from lab.errors import LabError, MissingError
from lab.lifecycle.lab import Lab
from lab.load.metrics.result import Usage
from lab.network.control import Control

#: Seconds between two scans for new children: a scan reads a file for each process of the machine.
SCAN_INTERVAL = 2.0
#: Seconds between two readings of a load.
SAMPLE_INTERVAL = 1.0
#: What else is busy: the process of the lab's names and relays, and all processes of the machine.
SERVICES, MACHINE = "services", "machine"

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LONGEST = 4096  # bytes of a file read here
_CPUINFO = Path("/proc/cpuinfo")


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
        """Read the figures; False if it has ended: then its memory is 0, and its CPU time that of the last reading."""
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


class ProcessMeter:
    """Reads what named groups of processes use; each group is its pids with all their descendants."""

    def __init__(self, processes: Mapping[str, Iterable[int]], *, alone: Iterable[str] = ()) -> None:
        """The descendants of a group in `alone` belong to others and do not count.

        Raises MissingError if a pid cannot be seen: without the machine's /proc nothing can be measured.
        """
        self._roots = {name: set(pids) for name, pids in processes.items()}
        self._alone = frozenset(alone)
        self._living: dict[str, dict[int, _Process]] = {name: {} for name in self._roots}
        self._ended = dict.fromkeys(self._roots, 0.0)  # CPU seconds of processes that are gone
        self._scanned = 0.0
        for name, pids in self._roots.items():
            for pid in pids:
                if not Path(f"/proc/{pid}").is_dir():
                    self.close()
                    raise MissingError(
                        f"{name}: there is no process {pid} here; meter on the machine that runs the servers, "
                        "outside of containers of its own"
                    )
        self.read()

    def __enter__(self) -> ProcessMeter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> dict[str, tuple[float, int]]:
        """CPU seconds used so far, and bytes resident, by name."""
        if time.monotonic() - self._scanned >= SCAN_INTERVAL:
            self._scan()
        return {name: self._read_group(name) for name in self._roots}

    def close(self) -> None:
        """Close all files."""
        for processes in self._living.values():
            for process in processes.values():
                process.close()
            processes.clear()

    def _read_group(self, name: str) -> tuple[float, int]:
        processes = self._living[name]
        for pid in [pid for pid, process in processes.items() if not process.read()]:
            process = processes.pop(pid)
            self._ended[name] += process.cpu
            process.close()
        used = self._ended[name] + sum(process.cpu for process in processes.values())
        return used, sum(process.rss for process in processes.values())

    def _scan(self) -> None:
        """Open the files of new processes."""
        self._scanned = time.monotonic()
        children = _children()
        for name, roots in self._roots.items():
            known = self._living[name]
            found = _descendants(roots | known.keys(), {} if name in self._alone else children)
            for pid in found - known.keys():
                try:
                    known[pid] = _Process(pid)
                except (ProcessLookupError, FileNotFoundError):
                    continue  # it ended meanwhile


class UsageSeries:
    """The readings of a meter over a load; `usage` becomes part of a Result."""

    def __init__(self, meter: ProcessMeter, start: float, clock: Callable[[], float] = time.perf_counter) -> None:
        """`start` is time 0 of the load on `clock`."""
        self._meter, self._start, self._clock = meter, start, clock
        self.usage: dict[str, list[Usage]] = {}

    def take(self) -> dict[str, Usage]:
        """Read all, add the readings to `usage`, and return them."""
        readings = self._meter.read()
        at = self._clock() - self._start
        found = {name: Usage(at, cpu, rss) for name, (cpu, rss) in readings.items()}
        for name, reading in found.items():
            self.usage.setdefault(name, []).append(reading)
        return found


class ResourceSampler:
    """Samples resources of one load each second. What cannot be measured is reported by `note`, without an error."""

    def __init__(
        self, lab: Lab | None, servers: Mapping[str, int], generators: Mapping[str, int], note: Callable[[str], None]
    ) -> None:
        self._lab, self._note = lab, note
        self._pids: dict[str, Mapping[str, int]] = {"servers": servers, "generators": generators}
        self._series: dict[str, UsageSeries] = {}
        self.links: dict[str, int] = {}  # bytes over the steady state by direction "a->b"

    async def run(self, start: float, warmup: float, seconds: float, tell: Callable[[dict[str, Any]], None]) -> None:
        """Sample until cancelled. `start` is time 0 on `time.perf_counter`, and may be in the future."""
        with contextlib.ExitStack() as open_files:
            self._pids["around"] = await self._services()
            for name, pids in self._pids.items():
                if pids:
                    alone = pids if name == "around" else ()
                    try:
                        meter = ProcessMeter({who: [pid] for who, pid in pids.items()}, alone=alone)
                    except MissingError as error:
                        self._note(f"{name} are not metered: {error}")
                    else:
                        open_files.enter_context(meter)
                        self._series[name] = UsageSeries(meter, start)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._sample(start, tell))
                group.create_task(self._measure_links(start + warmup, start + warmup + seconds))

    def usage(self, name: str) -> dict[str, list[Usage]]:
        """Readings of the "servers" or the "generators", by their names."""
        return self._series[name].usage if name in self._series else {}

    async def _sample(self, start: float, tell: Callable[[dict[str, Any]], None]) -> None:
        due = start
        while self._series:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            readings = {name: _encode(series.take()) for name, series in self._series.items()}
            whole = Usage(time.perf_counter() - start, read_machine_cpu_seconds(), 0)
            around = {**readings.pop("around", {}), MACHINE: whole.encode()}
            tell({"event": "usage", "servers": {}, "generators": {}, **readings, "around": around})
            due = max(due + SAMPLE_INTERVAL, time.perf_counter())

    async def _services(self) -> dict[str, int]:
        """The process of the lab's relays, {} without any. Where servers are processes, they are its children."""
        if self._lab is None or not self._lab.plan.relays or not self._pids["servers"]:
            return {}
        pid = await self._lab.runtime.find_service_pid(self._lab.layout)
        return {} if pid is None else {SERVICES: pid}

    async def _measure_links(self, start: float, end: float) -> None:
        if self._lab is None or not self._lab.plan.relays:
            return
        try:
            async with Control(self._lab.layout.control) as control:
                await asyncio.sleep(max(0.0, start - time.perf_counter()))
                before = await read_link_bytes(control)
                try:
                    await asyncio.sleep(max(0.0, end - time.perf_counter()))
                finally:
                    self.links = subtract_readings(before, await read_link_bytes(control))
        except LabError as error:
            self._note(f"bytes of links are not known: {error}")


def read_machine_cpu_seconds() -> float:
    """CPU seconds that all processes have spent so far on the cores that we may use.

    Time that a hypervisor gave to others (steal, proc_stat(5)) counts: no process here could use it.
    """
    ours = {b"cpu%d" % core for core in os.sched_getaffinity(0)}
    lines = (line.split() for line in Path("/proc/stat").read_bytes().splitlines())
    # user nice system idle iowait irq softirq steal
    ticks = (sum(map(int, (*line[1:4], *line[6:9]))) for line in lines if line and line[0] in ours)
    return sum(ticks) / _TICKS


def describe_machine() -> dict[str, str | int]:
    """What figures of a load depend on: cores that we may use, the processor ("" if unknown), the lab's version."""
    lines = _CPUINFO.read_text(errors="replace").splitlines() if _CPUINFO.is_file() else []
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {"cores": len(os.sched_getaffinity(0)), "processor": processor, "lab": packaged.VERSION}


async def read_link_bytes(control: Control) -> dict[str, int]:
    """Bytes that went over each link so far, by direction "a->b", whoever opened the connection.

    That is what a sent on its own connections, and what it answered on those of b. Direct links have no relay
    and are not in it.
    """
    status: dict[str, Any] = await control.call("status")
    found: dict[str, int] = {}
    for relay in status["relays"]:
        a, b = relay["source"], relay["target"]
        for route, count in ((f"{a}->{b}", relay["bytes"]), (f"{b}->{a}", relay["answer_bytes"])):
            found[route] = found.get(route, 0) + count
    return found


def subtract_readings(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """What was added between two readings of `read_link_bytes`."""
    return {name: count - before.get(name, 0) for name, count in after.items()}


def _encode(readings: Mapping[str, Usage]) -> dict[str, list[float | int | None]]:
    return {name: reading.encode() for name, reading in readings.items()}


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


def _descendants(roots: Iterable[int], children: Mapping[int, list[int]]) -> set[int]:
    """The roots and all their descendants."""
    found: set[int] = set()
    left = list(roots)
    while left:
        pid = left.pop()
        if pid not in found:
            found.add(pid)
            left += children.get(pid, [])
    return found
