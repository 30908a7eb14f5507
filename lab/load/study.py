"""Comparing topologies: the same load on each, repeated with seeds, and what it did against what the graph is like.

Repetitions go in rounds: each round has every topology once, in a drawn order, so that a machine that grows warm or
busy does not favour one. Intervals are Student's t at 95 % over the seeds' results: they say how sure the mean is,
not how far single messages spread. With one seed there is none.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from lab.load.results import Result
from lab.load.seeds import chance
from lab.topology.facts import Facts, facts
from lab.topology.spec import Topology

Measure = Callable[[Topology, int], Awaitable[Result]]

#: Student's t, 97.5 %, for 1 to 30 degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One run of a study."""

    topology: str  # as it was asked for, "ring:8"
    software: str  # "prosody", or several with "+" between them
    seed: int
    facts: Facts
    result: Result


@dataclass(frozen=True)
class Interval:
    """A mean over runs; `low` and `high` are None with a single run."""

    mean: float
    low: float | None
    high: float | None
    runs: int


async def repeat(measure: Measure, topologies: Mapping[str, Topology], seeds: Sequence[int]) -> AsyncIterator[Cell]:
    """Measure every topology with every seed, and give each run as soon as it is there."""
    for seed in seeds:
        order = list(topologies)
        chance(seed, "order").shuffle(order)
        for name in order:
            topology = topologies[name]
            software = "+".join(sorted({server.software for server in topology.servers}))
            yield Cell(name, software, seed, facts(topology), await measure(topology, seed))


def metrics(of: Facts) -> dict[str, float]:
    """What a graph is like, as the table has it."""
    return {
        "servers": of.servers,
        "links": of.links,
        "diameter": of.diameter,
        "mean_distance": round(of.mean_distance, 3),
        "mean_degree": round(of.mean_degree, 3),
        "centralisation": round(of.centralisation, 3),
    }


def measures(result: Result) -> dict[str, float]:
    """What a load did: delays in ms, shares, CPU seconds of all servers and of the busiest, bytes on links."""
    total, used = result.total, result.used()
    servers = [used[name] for name in result.usage if name in used]
    thousand = total.received / 1000
    found = {
        "p50_ms": 1000 * total.intended.percentile(50),
        "p99_ms": 1000 * total.intended.percentile(99),
        "loss": total.loss,
        "failed": total.failed,
        "per_second": result.rate,
    }
    if servers and thousand:
        found["cpu_per_1000"] = sum(servers) / thousand
        found["busiest_share"] = max(servers) / sum(servers) if sum(servers) else 0.0
    if result.links and thousand:
        found["link_bytes"] = sum(result.links.values()) / total.received
    return found


def interval(values: Sequence[float]) -> Interval:
    """Mean and 95 % interval of at least one value."""
    mean, runs = fmean(values), len(values)
    if runs < 2:
        return Interval(mean, None, None, runs)
    # Beyond the table the error of this is below 0.002.
    quantile = _T[runs - 2] if runs - 2 < len(_T) else 1.96 + 2.45 / (runs - 1)
    half = quantile * stdev(values) / math.sqrt(runs)
    return Interval(mean, mean - half, mean + half, runs)


def table(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """A row per topology and software: its metrics, then each measure as mean, `_low` and `_high`."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.topology, cell.software), []).append(cell)
    rows = []
    for (topology, software), group in groups.items():
        row: dict[str, Any] = {"topology": topology, "software": software, "runs": len(group)}
        row |= metrics(group[0].facts)
        several = [measures(cell.result) for cell in group]
        for name in several[0]:
            found = interval([one[name] for one in several if name in one])
            row |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
        rows.append(row)
    return rows


def against(rows: Sequence[Mapping[str, Any]], metric: str, measure: str) -> list[dict[str, Any]]:
    """Points of a plot: a metric of the graph and a measure with its interval, by rising metric."""
    points = [
        {
            "topology": row["topology"],
            "software": row["software"],
            "x": row[metric],
            "y": row[measure],
            "low": row[f"{measure}_low"],
            "high": row[f"{measure}_high"],
        }
        for row in rows
        if measure in row
    ]
    return sorted(points, key=lambda point: point["x"])


def rank_correlation(points: Sequence[Mapping[str, Any]]) -> float | None:
    """Spearman's: 1.0 if the measure rises with the metric, -1.0 if it falls; None where one of them never changes.

    With the handful of topologies of a study it describes them; it proves nothing about others.
    """
    x, y = (_ranks([point[axis] for point in points]) for axis in ("x", "y"))
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    mean_x, mean_y = fmean(x), fmean(y)
    both = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return both / math.sqrt(sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y))


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 0 on; equal values share the mean of theirs."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]
