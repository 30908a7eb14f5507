"""Results as rows: a CSV of the seconds, a table of the routes."""

from __future__ import annotations

import csv
import io
from bisect import bisect_left, bisect_right
from typing import Any

from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.histogram import Histogram
from lab.load.metrics.result import Result, Second, Usage

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)


def list_delays(histogram: Histogram, prefix: str = "") -> dict[str, float]:
    """Percentiles, mean and maximum in milliseconds: {"p50_ms": 1.2, ...}."""
    found = {f"{prefix}p{percent:g}_ms": histogram.percentile(percent) for percent in PERCENTILES}
    found |= {f"{prefix}mean_ms": histogram.mean, f"{prefix}max_ms": histogram.max}
    return {name: round(1000 * value, 3) for name, value in found.items()}


def list_counts(tally: RouteCounters) -> dict[str, Any]:
    """What was counted, bounces by their sum."""
    return {
        "sent": tally.sent,
        "expected": tally.expected,
        "received": tally.received,
        "lost": tally.lost,
        "bounced": tally.bounced.total(),
        "both": tally.both,
        "duplicates": tally.duplicates,
        "out_of_order": tally.out_of_order,
    }


def list_routes(result: Result) -> list[dict[str, Any]]:
    """A row for each route of the steady state, and one for all together; delays from the intended time come first."""
    rows = {**dict(sorted(result.routes.items())), "all": result.total}
    length = result.length
    return [
        {
            "route": route,
            **list_counts(tally),
            "per_second": round(tally.received / length, 1) if length else 0.0,
            **list_delays(tally.intended),
            **list_delays(tally.actual, "written_"),
        }
        for route, tally in rows.items()
    ]


def list_seconds(result: Result, start: float | None = None) -> list[dict[str, Any]]:
    """A row for each second, the warm-up included; `start` of the warm-up is in seconds since the epoch, if known."""
    steady = result.steady
    workers = sorted({name for second in result.seconds.values() for name in second.cpu})
    return [
        {
            "second": number,
            "epoch": None if start is None else round(start + number, 3),
            "phase": "steady" if number in steady else "warmup" if number < result.plan["warmup"] else "after",
            **_second(result.seconds[number], max(1, result.plan["workers"])),
            **{f"{name} cores": _cores(result.seconds[number], name) for name in workers},
            **{f"{name} cores": _rate(readings, number) for name, readings in result.usage.items()},
            **{f"{name} rss": _rss(readings, number) for name, readings in result.usage.items()},
        }
        for number in sorted(result.seconds)
    ]


def to_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV with a heading that has every row's columns; "" for what was not measured."""
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(
            text, fieldnames=list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def _second(second: Second, workers: int) -> dict[str, Any]:
    length = second.covered / workers
    return {
        **list_counts(second.tally),
        "sent_per_second": round(second.tally.sent / length, 1) if length else 0.0,
        "received_per_second": round(second.tally.received / length, 1) if length else 0.0,
        "reconnects": second.reconnects,
        **list_delays(second.tally.intended),
        "lag_p99_ms": round(1000 * second.lag.percentile(99), 3),
    }


def _cores(second: Second, worker: str) -> float | None:
    """Cores of a worker; its span is about its part of what all covered."""
    length = second.covered / max(1, len(second.cpu))
    return round(second.cpu[worker] / length, 3) if worker in second.cpu and length else None


def _rate(readings: list[Usage], second: int) -> float | None:
    """Cores between the last reading before this second's end and the one before that."""
    last = bisect_right(readings, second + 1.0, key=lambda one: one.at) - 1
    if last < 1 or readings[last].at < second:
        return None
    before, after = readings[last - 1], readings[last]
    return round((after.cpu - before.cpu) / (after.at - before.at), 3)


def _rss(readings: list[Usage], second: int) -> int | None:
    last = bisect_left(readings, second + 1.0, key=lambda one: one.at) - 1
    return readings[last].rss if last >= 0 and readings[last].at >= second else None
