"""What the load benchmarks share: a generator as a process, its CPU and memory, the null server's count."""

from __future__ import annotations

import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the null server lies beside the tests

from lab.load.model.spec import Load, Shard  # noqa: E402
from lab.load.worker.process import encode  # noqa: E402
from tests.load.null_server.launch import Null, null_server  # noqa: E402

__all__ = ["ROOT", "Aims", "Null", "Worker", "cpu", "median", "null_server", "rss", "window"]

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used, all its threads (proc_pid_stat(5)); to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss(pid: int) -> int:
    """Bytes resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def window(null: Null, pid: int, seconds: float) -> tuple[float, float]:
    """Messages per second over a window, and CPU seconds of a generator per 1000 of them."""
    began, used, routed = time.monotonic(), cpu(pid), null.routed
    time.sleep(seconds)
    passed, used, routed = time.monotonic() - began, cpu(pid) - used, null.routed - routed
    return routed / passed, 1000 * used / max(1, routed)


def median(values: list[float]) -> str:
    """The median with what it was taken from."""
    return f"{statistics.median(values):.4f} ({', '.join(f'{value:.4f}' for value in values)})"


def _median_difference(figures: list[float], others: list[float]) -> float:
    return statistics.median(one - other for one, other in zip(figures, others, strict=True))


class Aims:
    """Figures beside what they should be; the exit code of a benchmark."""

    def __init__(self) -> None:
        self.missed = 0

    def at_most(self, what: str, figure: float, aim: float) -> None:
        """A figure that should not be above its aim."""
        self._say(what, figure, "at most", aim, figure <= aim)

    def at_least(self, what: str, figure: float, aim: float) -> None:
        """A figure that should not be below its aim."""
        self._say(what, figure, "at least", aim, figure >= aim)

    def adds_at_most(self, what: str, aim: float, direct: list[float], least: list[float], own: list[float]) -> None:
        """What something adds to `direct`, beside the least that does the same; a figure of each for every round.

        Where even the least adds more than the aim the machine keeps processes waiting: then the difference to it is
        judged, and it counts as not measured where rounds do not agree whether that is above the aim.
        """
        added, least_added = _median_difference(own, direct), _median_difference(least, direct)
        if added <= aim or least_added <= aim:
            self.at_most(what, added, aim)
            return
        print(f"BUSY   {what}: {added:.6g} (at most {aim:g}), but a bare forwarder adds {least_added:.6g} here")
        rounds = sorted(one - other for one, other in zip(own, least, strict=True))
        if statistics.median(rounds) > aim >= rounds[0]:
            self.missed += 1
            print(f"NOT MEASURED {what}, more than a bare forwarder: {rounds[0]:.6g} to {rounds[-1]:.6g}", flush=True)
        else:
            self.at_most(f"{what}, more than a bare forwarder", statistics.median(rounds), aim)

    def _say(self, what: str, figure: float, words: str, aim: float, kept: bool) -> None:
        self.missed += not kept
        print(f"{'kept  ' if kept else 'MISSED'} {what}: {figure:.6g} ({words} {aim:g})", flush=True)


class Worker:
    """A load worker of ours as a process; it ends with the block."""

    def __init__(self, load: Load, shard: Shard | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lab.load.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self.process.stdin and self.process.stdout
        self._input, self._output = self.process.stdin, self.process.stdout
        self.events: list[dict[str, Any]] = []
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        # A thread reads: a worker whose output nobody takes stands still in the middle of its load.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._write(encode(load, shard or Shard()))

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def _write(self, line: str) -> None:
        self._input.write(line)
        self._input.flush()

    def _read(self) -> None:
        for line in self._output:
            self._lines.put(line)
        self._lines.put("")  # the end

    def go(self) -> None:
        """Start the clock; returns once it runs."""
        self._write('{"go_ns": null}\n')
        self.until("started")

    def until(self, kind: str) -> dict[str, Any]:
        """The next event of that kind. Ends the benchmark if the worker failed."""
        while line := self._lines.get():
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == kind:
                return self.events[-1]
        raise SystemExit(f"the worker ended: {self.events[-1:]}")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._input.close()
        try:
            self.process.wait(20)  # it still reports
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        self._output.close()
