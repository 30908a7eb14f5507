"""A study: the same load on several topologies, repeated with seeds, and its figures against metrics of the graphs.

Repetitions are made in rounds: each round has every topology once, in random order, so that a machine that becomes warm
or busy does not favour one of them.

Intervals are over the results of the seeds: they show how certain the mean is, not how far single messages spread. From
MIN_RUNS_FOR_T runs on they are Student's t at 95 %, cut off at 0, because no figure is below 0. With fewer runs the
interval is the range from the least to the greatest: t for two runs is 12.7 times their deviation and shows only that
there are two. (A bootstrap over so few runs gives intervals that are too narrow.) With one run there is no interval.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from lab.load.metrics.fault_record import FaultRecord
from lab.load.metrics.result import Result
from lab.load.model.spec import seeded_rng
from lab.topology.facts import compute_facts
from lab.topology.spec import Topology

Figures = Mapping[str, float]  # see `compute_figures`; {} if nothing was measured
Measure = Callable[[Topology, int], Awaitable[Figures]]

#: Metrics of the graphs and figures of the loads that are correlated and shown in the text table.
METRICS = ("diameter", "mean_distance", "max_degree", "betweenness", "linked_pairs")
FIGURES = ("p50_ms", "p99_ms", "loss", "cpu_per_1000", "busiest_share")

#: Of studies that search the highest rate: that rate, in messages per second.
LIMIT = "limit"
#: Of studies under faults: the longest recovery time in seconds, and the share of faults whose recovery time is known.
RECOVERY = ("recovery_s", "recovered")

#: What a message costs: CPU seconds of servers and of clients per 1000 messages, bytes on links per message.
COSTS = ("cpu_per_1000", "clients_per_1000", "link_bytes")

#: Runs from which on an interval is Student's t.
MIN_RUNS_FOR_T = 5
#: Student's t, 97.5 %, for 1 to 30 degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip


@dataclass(frozen=True)
class StudyRun:
    """One run of a study."""

    topology: str  # as in the command, "ring:8"
    software: str  # "prosody", or several with "+" between them
    seed: int
    graph: Mapping[str, float]  # see `graph_metrics`
    figures: Figures


@dataclass(frozen=True)
class MeanInterval:
    """A mean over runs; `low` and `high` are the range below MIN_RUNS_FOR_T runs, and None for a single run."""

    mean: float
    low: float | None
    high: float | None
    runs: int


async def measure_all(
    measure: Measure, topologies: Mapping[str, Topology], seeds: Sequence[int], done: Container[tuple[str, int]] = ()
) -> AsyncIterator[StudyRun]:
    """Measure every topology with every seed but those that are done; yields each run when it has ended."""
    for seed in seeds:
        order = list(topologies)
        seeded_rng(seed, "order").shuffle(order)
        for name in order:
            if (name, seed) not in done:
                yield study_run(name, topologies[name], seed, await measure(topologies[name], seed))


def study_run(name: str, topology: Topology, seed: int, figures: Figures) -> StudyRun:
    """The run of a topology that has these figures."""
    software = "+".join(sorted({server.software_name for server in topology.servers}))
    return StudyRun(name, software, seed, compute_graph_metrics(topology), figures)


def compute_graph_metrics(topology: Topology) -> dict[str, float]:
    """The metrics of a graph that the table has. Distances are counted in links; a message crosses one at most.

    `linked_pairs` is the share of all pairs of servers that have a link. Centralisations are Freeman's, of degree and
    of betweenness: 0 where all servers are alike, 1 for a star.
    """
    of = compute_facts(topology)
    pairs = of.servers * (of.servers - 1) / 2
    return {
        "servers": of.servers,
        "links": of.links,
        "diameter": of.diameter,
        "mean_distance": round(of.mean_distance, 3),
        "mean_degree": round(of.mean_degree, 3),
        "max_degree": max(of.degrees, default=0),
        "centralisation": round(of.centralisation, 3),
        "betweenness": round(_betweenness(topology), 3),
        "linked_pairs": round(of.links / pairs, 3) if pairs else 0.0,
    }


def _betweenness(topology: Topology) -> float:
    """Freeman's centralisation of betweenness: how much higher the highest betweenness is than that of the others."""
    import networkx

    graph: networkx.Graph[str] = networkx.Graph([(link.a, link.b) for link in topology.links])
    graph.add_nodes_from(server.name for server in topology.servers)
    if len(graph) < 3:
        return 0.0
    each = networkx.betweenness_centrality(graph).values()
    return float(sum(max(each) - one for one in each) / (len(graph) - 1))


def compute_figures(result: Result, faults: Sequence[FaultRecord] = ()) -> dict[str, float]:
    """The figures of a load: delays in ms, shares, messages per second, CPU seconds of all servers per 1000 messages.

    `clients_per_1000` are CPU seconds of the generator, which is all clients; `busiest_share` is the share of the
    busiest server in the CPU time of all; `link_bytes` are per message received. Of a load in which nothing was
    received, and which so has no delay, there are none.
    """
    total, used = result.total, result.used()
    if not total.received:
        return {}
    servers = [used[name] for name in result.usage if name in used]
    thousand = total.received / 1000
    found = {
        "p50_ms": 1000 * total.intended.percentile(50),
        "p99_ms": 1000 * total.intended.percentile(99),
        "loss": total.loss,
        "failed": total.failed,
        "per_second": result.rate,
    }
    if clients := [spent for name, spent in used.items() if name not in result.usage]:
        found["clients_per_1000"] = sum(clients) / thousand
    if servers:
        found["cpu_per_1000"] = sum(servers) / thousand
        found["busiest_share"] = max(servers) / sum(servers) if sum(servers) else 0.0
    if result.links:
        found["link_bytes"] = sum(result.links.values()) / total.received
    return found | _compute_recovery(faults)


def _compute_recovery(faults: Sequence[FaultRecord]) -> dict[str, float]:
    """The figures of `RECOVERY`; the time only if the load recovered from each fault, as far as is known."""
    if not faults:
        return {}
    known = [one.recovery for one in faults if one.recovery is not None]
    slowest = {"recovery_s": max(known)} if len(known) == len(faults) else {}
    return {**slowest, "recovered": len(known) / len(faults)}


def compute_mean_interval(values: Sequence[float]) -> MeanInterval:
    """Mean and interval of at least one value, none of them below 0."""
    mean, runs = fmean(values), len(values)
    if runs < MIN_RUNS_FOR_T:
        return MeanInterval(mean, None, None, 1) if runs < 2 else MeanInterval(mean, min(values), max(values), runs)
    half = compute_student_t(runs - 1) * stdev(values) / math.sqrt(runs)
    return MeanInterval(mean, max(0.0, mean - half), mean + half, runs)


def compute_student_t(freedom: int) -> float:
    """Student's t, 97.5 %, for that many degrees of freedom, at least 1."""
    # Beyond the table the error of this is below 0.002.
    return _T[freedom - 1] if freedom <= len(_T) else 1.96 + 2.45 / freedom


def in_order(runs: Iterable[StudyRun], topologies: Sequence[str]) -> list[StudyRun]:
    """The runs in the order of these topologies, those of one topology as they were made; rows then are as well."""
    place = {name: number for number, name in enumerate(topologies)}
    return sorted(runs, key=lambda run: place[run.topology])


def build_table(runs: Iterable[StudyRun]) -> list[dict[str, Any]]:
    """A row per topology and software: its metrics, then each figure as mean, `_low` and `_high` (see MeanInterval).

    Runs without figures are left out.
    """
    groups: dict[tuple[str, str], list[StudyRun]] = {}
    for run in runs:
        groups.setdefault((run.topology, run.software), []).append(run)
    rows = []
    for (topology, software), group in groups.items():
        several = [run.figures for run in group if run.figures]
        row: dict[str, Any] = {"topology": topology, "software": software, "runs": len(several)}
        row |= group[0].graph
        for name in dict.fromkeys(name for one in several for name in one):
            found = compute_mean_interval([one[name] for one in several if name in one])
            row |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
        rows.append(row)
    return rows


def build_plot_points(rows: Sequence[Mapping[str, Any]], metric: str, figure: str) -> list[dict[str, Any]]:
    """Points of a plot: x is a metric of the graph, y a figure with its interval; sorted by x."""
    points = [
        {
            "topology": row["topology"],
            "software": row["software"],
            "x": row[metric],
            "y": row[figure],
            "low": row[f"{figure}_low"],
            "high": row[f"{figure}_high"],
        }
        for row in rows
        if figure in row
    ]
    return sorted(points, key=lambda point: point["x"])


def compute_rank_correlation(points: Sequence[Mapping[str, Any]]) -> float | None:
    """Spearman's rank correlation: 1.0 if y rises with x, -1.0 if it falls; None where one of them never changes.

    With the few topologies of a study it describes these; it proves nothing about others.
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
