"""The data of the charts over time: each row is {"t": seconds, "series": name, "v": value, "tip": a sentence}.

A row's time is the middle of its bin. A bin that was covered for less than half of its length (the last one of a load
that was interrupted, the moment after the end) has no rate and is left out; the tables have it. A long load is divided
into at most `MAX_BINS` bins, whose histograms are added, so that percentiles stay exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lab.load.metrics.result import Result, Second, Usage
from lab.load.report.html.page_data import LoadPageData

Row = dict[str, Any]

MAX_BINS = 600  # more cannot be distinguished on a screen
#: Processes with a line of their own; if there are more, the busiest.
LINES = 8
DELAYS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0}
LAG = "generator late (p99)"
_MIB = 1 << 20


@dataclass(frozen=True)
class TimeBin:
    """One or more whole seconds of the load, all workers together."""

    start: int
    end: int
    length: float  # seconds that the workers covered, on average
    second: Second

    @property
    def middle(self) -> float:
        """Its position on the time axis."""
        return (self.start + self.end) / 2


def list_time_bins(result: Result) -> list[TimeBin]:
    """The bins of a load in order, without those that were covered for less than half of their length."""
    numbers, workers = sorted(result.seconds), max(1, result.plan.get("workers", 1))
    width = -(-len(numbers) // MAX_BINS) or 1
    found = []
    for start in range(0, max(numbers, default=-1) + 1, width):
        together = Second()
        for number in range(start, start + width):
            together.add(result.seconds.get(number, Second()))
        length = together.covered / workers
        if length >= width / 2:
            found.append(TimeBin(start, start + width, length, together))
    return found


def list_throughput(data: LoadPageData, found: Sequence[TimeBin]) -> list[Row]:
    """Messages intended, sent and received, per second."""
    rows = []
    for one in found:
        due = data.intended(one.start, one.end)
        tally = one.second.tally
        rates = {"sent": tally.sent / one.length, "received": tally.received / one.length}
        if due is not None and one.start < data.end:
            rates = {"intended": due / (one.end - one.start), **rates}
        rows += [_row(one.middle, name, rate, f"{rate:.1f} per s {name}") for name, rate in rates.items()]
    return rows


def list_delays(found: Iterable[TimeBin]) -> list[Row]:
    """Delays in ms from the intended time; 0 is left out because the axis is logarithmic."""
    rows = []
    for one in found:
        delay, lag = one.second.tally.intended, one.second.lag
        values = {name: delay.percentile(percent) for name, percent in DELAYS.items()} if delay.counts else {}
        values |= {LAG: lag.percentile(99)} if lag.counts else {}
        rows += [_row(one.middle, name, 1000 * v, f"{name}: {1000 * v:.1f} ms") for name, v in values.items() if v > 0]
    return rows


def list_cores(result: Result, found: Iterable[TimeBin]) -> list[Row]:
    """Cores used by servers and by the generator's workers."""
    rows = []
    for name, readings in result.usage.items():
        for before, after in _pairs(_thinned(readings)):
            busy = (after.cpu - before.cpu) / (after.at - before.at)
            rows.append(_row((before.at + after.at) / 2, name, busy, f"{name}: {busy:.2f} cores"))
    for one in found:
        length = one.second.covered / max(1, len(one.second.cpu))
        for name, spent in one.second.cpu.items():
            rows.append(_row(one.middle, name, spent / length, f"{name}: {spent / length:.2f} cores"))
    return rows


def list_memory(usage: Mapping[str, Sequence[Usage]]) -> list[Row]:
    """Resident memory in MiB."""
    return [
        _row(one.at, name, one.rss / _MIB, f"{name}: {one.rss / _MIB:.0f} MiB")
        for name, readings in usage.items()
        for one in _thinned(readings)
        if one.at >= 0
    ]


def select_largest(rows: Sequence[Row], most: int = LINES) -> tuple[list[str], list[Row]]:
    """The names of the series with the highest means, in their order, and the rows of these series."""
    sums: dict[str, list[float]] = {}
    for row in rows:
        sums.setdefault(row["series"], []).append(row["v"])
    highest = set(sorted(sums, key=lambda name: -sum(sums[name]) / len(sums[name]))[:most])
    return [name for name in sums if name in highest], [row for row in rows if row["series"] in highest]


def _row(at: float, series: str, value: float, tip: str) -> Row:
    return {"t": round(at, 3), "series": series, "v": round(value, 4), "tip": f"{at:.1f} s: {tip}"}


def _thinned(readings: Sequence[Usage]) -> Sequence[Usage]:
    return readings[:: -(-len(readings) // MAX_BINS) or 1]


def _pairs(readings: Sequence[Usage]) -> Iterator[tuple[Usage, Usage]]:
    """Successive readings that are far enough apart for a rate."""
    for before, after in pairwise(readings):
        if after.at - before.at >= 0.5 and before.at >= -0.5:
            yield before, after
