"""Percentiles of each route as HdrHistogram plots them, and bars of what was counted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lab.load.metrics.counters import Tally
from lab.load.report.html import axes
from lab.load.report.html.series import Row
from lab.load.report.html.vega import COLOURS, INK, Spec

ALL = "all together"
#: Routes with a curve of their own; of more the slowest.
ROUTES = 8
#: Where a percentile p stands: at 1 / (1 - p), on a logarithmic axis.
NINES = {2: "50", 10: "90", 100: "99", 1000: "99.9", 10_000: "99.99", 100_000: "99.999"}
_STEPS = 8  # of a curve, for each nine
_NAMES = {"labelLimit": 240, "labelPadding": 6, "ticks": False}


def percentile_rows(routes: Mapping[str, Tally], together: Tally) -> tuple[list[str], list[Row]]:
    """Curves of the slowest routes and of all together; each ends where its count of delays does, at its maximum."""
    measured = [name for name in routes if routes[name].intended.counts]
    slowest = sorted(measured, key=lambda name: -routes[name].intended.percentile(99))[:ROUTES]
    curves = {ALL: together} if len(measured) > 1 else {}
    curves |= {name: routes[name] for name in sorted(slowest)}
    return list(curves), [row for name, tally in curves.items() for row in _curve(name, tally)]


def _curve(name: str, tally: Tally) -> list[Row]:
    count, most = tally.intended.total, max(NINES)
    first, last = round(_STEPS * math.log10(min(NINES))), round(_STEPS * math.log10(most))
    places = [10 ** (step / _STEPS) for step in range(first, last + 1)]
    places = [float(min(NINES)), *(at for at in places if min(NINES) < at < count)]
    if min(NINES) < count <= most:
        places.append(float(count))  # the slowest of all
    rows = []
    for at in places:
        percent = 100 - 100 / at
        value = 1000 * (tally.intended.max if at == count else tally.intended.percentile(percent))
        if value > 0:
            share = "all" if at == count else f"{percent:.5g} %"
            rows.append({"at": at, "series": name, "v": value, "tip": f"{name}: {share} within {value:.1f} ms"})
    return rows


def percentiles(names: Sequence[str], rows: Sequence[Row]) -> Spec:
    """Delay against percentile, both axes logarithmic."""
    labels = " : ".join(f"datum.value == {at} ? '{text}'" for at, text in NINES.items())
    x = {
        "field": "at", "type": "quantitative", "title": "percentile of the messages (%)",
        "scale": {"type": "log", "domain": [2, max(100.0, *(row["at"] for row in rows))], "nice": False},
        "axis": {"values": list(NINES), "labelExpr": f"{labels} : ''", "labelFlush": False},
    }  # fmt: skip
    y = axes.logarithmic("v", "delay (ms)", min(row["v"] for row in rows), max(row["v"] for row in rows))
    own = [name for name in names if name != ALL]
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(own)}
    place = {"x": x, "y": y, "color": axes.key(names, colours, INK)}
    look = {"strokeWidth": axes.key(names, {ALL: 6}, 1.8), "strokeOpacity": axes.key(names, {ALL: 0.25}, 1.0)}
    line = {"mark": {"type": "line"}, "encoding": {**place, **look}}
    dots = axes.points(rows, {**place, "opacity": axes.key(names, {ALL: 0.25}, 1.0)})
    return {"width": axes.WIDTH, "height": 260, "data": {"values": list(rows)}, "layer": [line, *dots]}


def bars(rows: Sequence[Row], title: str, colour: str) -> Spec:
    """Horizontal bars from zero, each with its value: rows have "series", "v", "text" and "tip"."""
    y = {"field": "series", "type": "nominal", "title": None, "sort": None, "axis": _NAMES}
    x = axes.from_zero("v", title, max(row["v"] for row in rows))
    bar = {"type": "bar", "color": colour, "height": {"band": 0.7}, "aria": True}
    text = {"type": "text", "align": "left", "dx": 4}
    return {
        "width": axes.WIDTH - 100,
        "height": {"step": 22},
        "data": {"values": list(rows)},
        "layer": [
            {"mark": bar, "encoding": {"x": x, "y": y, "description": {"field": "tip"}}},
            {"mark": text, "encoding": {"x": x, "y": y, "text": {"field": "text"}}},
        ],
    }
