"""The charts of a load's page and of a study's page, as Vega-Lite specifications.

Lines over the seconds of a load (throughput, delay, processors, memory), with warm-up and drain shaded; percentiles of
each route as HdrHistogram plots them; bars of counts; a figure of a study against metrics of the graphs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.load.metrics.counters import RouteCounters
from lab.load.report.html import axes
from lab.load.report.html.series import LAG, Row
from lab.load.report.html.vega import COLOURS, FOREGROUND, Spec

_GREY = COLOURS[7]
#: The lines of throughput have different widths, so that all are visible where they are equal.
_RATES = {"intended": _GREY, "sent": COLOURS[0], "received": COLOURS[1]}
_WIDTHS = {"intended": 7.0, "sent": 3.2, "received": 1.4}
_DELAYS = {"max": COLOURS[3], "p99": COLOURS[1], "p90": COLOURS[0], "p50": COLOURS[2], LAG: _GREY}
_DASHES = {"max": [2, 2], LAG: [6, 3]}


#: Colours of faults, which are drawn as bands behind the lines.
_BANDS = (COLOURS[3], COLOURS[5], COLOURS[4], COLOURS[6], COLOURS[1])
_BAND_OPACITY = 0.22


@dataclass(frozen=True)
class LoadCurve:
    """The times of a load that its charts show, in seconds since the start of the warm-up."""

    warmup: float
    end: float  # of the steady state; the drain follows
    last: float  # end of the time axis
    faults: tuple[tuple[str, float, float], ...] = ()  # name, from, to


def build_throughput(rows: Sequence[Row], curve: LoadCurve) -> Spec:
    """Intended, sent and received per second."""
    names = [name for name in _RATES if any(row["series"] == name for row in rows)]
    return _over_time(
        rows, curve, axes.build_axis_from_zero("v", "per second", _high(rows)), names, _RATES, widths=_WIDTHS
    )


def build_delay(rows: Sequence[Row], curve: LoadCurve) -> Spec:
    """Percentiles of each interval, and how late the generator was."""
    names = [name for name in _DELAYS if any(row["series"] == name for row in rows)]
    y = axes.build_log_axis("v", "milliseconds", min(row["v"] for row in rows), _high(rows))
    return _over_time(rows, curve, y, names, _DELAYS, dashes=_DASHES)


def build_processes(
    rows: Sequence[Row], curve: LoadCurve, title: str, names: Sequence[str], dashed: Sequence[str]
) -> Spec:
    """A figure of several processes; the lines of those in `dashed` are dashed."""
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    dashes = {name: [5, 3] for name in dashed}
    return _over_time(rows, curve, axes.build_axis_from_zero("v", title, _high(rows)), names, colours, dashes=dashes)


def _high(rows: Sequence[Row]) -> float:
    return max((row["v"] for row in rows), default=0.0)


def _over_time(
    rows: Sequence[Row],
    curve: LoadCurve,
    y: Spec,
    names: Sequence[str],
    colours: Mapping[str, str],
    *,
    widths: Mapping[str, float] | None = None,
    dashes: Mapping[str, list[int]] | None = None,
) -> Spec:
    x = {
        "field": "t", "type": "quantitative", "title": "seconds since the start of the load",
        "scale": {"domain": [0, curve.last], "nice": False}, "axis": {"grid": False, "tickCount": 12},
    }  # fmt: skip
    place = {"x": x, "y": y, "color": axes.build_key(names, colours, FOREGROUND)}
    look = {
        "strokeWidth": axes.build_key(names, widths or {}, 1.8),
        "strokeDash": axes.build_key(names, dashes or {}, [1, 0]),
    }
    lines = {"mark": {"type": "line", "strokeJoin": "round"}, "encoding": {**place, **look}}
    layers = [*_shades(curve), *_bands(curve), lines, *axes.build_points(rows, place)]
    drawn = {"width": axes.WIDTH, "height": axes.HEIGHT, "data": {"values": list(rows)}, "layer": layers}
    return {**drawn, "resolve": {"scale": {"fill": "independent"}}} if curve.faults else drawn


def _shades(curve: LoadCurve) -> list[Spec]:
    """The shaded spans of the warm-up and of the drain, with their names."""
    spans: list[dict[str, Any]] = []
    if curve.warmup:
        spans.append({"from": 0, "to": min(curve.warmup, curve.last), "name": "warm-up"})
    if curve.last > curve.end:
        spans.append({"from": curve.end, "to": curve.last, "name": "drain"})
    if not spans:
        return []
    x = {"field": "from", "type": "quantitative"}
    text = {"type": "text", "align": "left", "baseline": "top", "dx": 4, "opacity": 0.7}
    shade = {"type": "rect", "color": FOREGROUND, "opacity": 0.07}
    span = {"mark": shade, "encoding": {"x": x, "x2": {"field": "to"}}}
    name = {"mark": text, "encoding": {"x": x, "y": {"value": 3}, "text": {"field": "name"}}}
    return [{"data": {"values": spans}, **layer} for layer in (span, name)]


def _bands(curve: LoadCurve) -> list[Spec]:
    """The spans in which declared faults acted, a colour for each name."""
    names = list(dict.fromkeys(name for name, _, _ in curve.faults))
    if not names:
        return []
    spans = [
        {"name": name, "from": begin, "to": max(begin + curve.last / 500, min(end, curve.last)),
         "tip": f"{name}: from {begin:.1f} s to {end:.1f} s"}
        for name, begin, end in curve.faults
    ]  # fmt: skip
    colours = [_BANDS[number % len(_BANDS)] for number in range(len(names))]
    fill = {
        "field": "name", "type": "nominal", "title": "faults", "sort": None,
        "scale": {"type": "ordinal", "domain": names, "range": colours},
        "legend": {"symbolType": "square", "symbolOpacity": _BAND_OPACITY, **axes.build_legend(names)},
    }  # fmt: skip
    x = {"field": "from", "type": "quantitative"}
    mark = {"type": "rect", "opacity": _BAND_OPACITY, "aria": True}
    encoding = {"x": x, "x2": {"field": "to"}, "fill": fill, "description": {"field": "tip"}}
    return [{"data": {"values": spans}, "mark": mark, "encoding": encoding}]


ALL = "all together"
#: Routes with a curve of their own; if there are more, the slowest.
ROUTES = 8
#: The position of percentile p is 1 / (1 - p), on a logarithmic axis.
NINES = {2: "50", 10: "90", 100: "99", 1000: "99.9", 10_000: "99.99", 100_000: "99.999"}
_STEPS = 8  # of a curve, for each nine
_NAMES = {"labelPadding": 6, "ticks": False}


def list_percentiles(routes: Mapping[str, RouteCounters], together: RouteCounters) -> tuple[list[str], list[Row]]:
    """Curves of the slowest routes and of all together; each ends at its maximum, where its count of delays ends."""
    measured = [name for name in routes if routes[name].intended.counts]
    slowest = sorted(measured, key=lambda name: -routes[name].intended.percentile(99))[:ROUTES]
    curves = {ALL: together} if len(measured) > 1 else {}
    curves |= {name: routes[name] for name in sorted(slowest)}
    return list(curves), [row for name, tally in curves.items() for row in _percentile_curve(name, tally)]


def _percentile_curve(name: str, tally: RouteCounters) -> list[Row]:
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


def build_percentiles(names: Sequence[str], rows: Sequence[Row]) -> Spec:
    """Delay against percentile, both axes logarithmic."""
    labels = " : ".join(f"datum.value == {at} ? '{text}'" for at, text in NINES.items())
    x = {
        "field": "at", "type": "quantitative", "title": "percentile of the messages (%)",
        "scale": {"type": "log", "domain": [2, max(100.0, *(row["at"] for row in rows))], "nice": False},
        "axis": {"values": list(NINES), "labelExpr": f"{labels} : ''", "labelFlush": False},
    }  # fmt: skip
    y = axes.build_log_axis("v", "delay (ms)", min(row["v"] for row in rows), max(row["v"] for row in rows))
    own = [name for name in names if name != ALL]
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(own)}
    place = {"x": x, "y": y, "color": axes.build_key(names, colours, FOREGROUND)}
    look = {
        "strokeWidth": axes.build_key(names, {ALL: 6}, 1.8),
        "strokeOpacity": axes.build_key(names, {ALL: 0.25}, 1.0),
    }
    line = {"mark": {"type": "line"}, "encoding": {**place, **look}}
    dots = axes.build_points(rows, {**place, "opacity": axes.build_key(names, {ALL: 0.25}, 1.0)})
    return {"width": axes.WIDTH, "height": 260, "data": {"values": list(rows)}, "layer": [line, *dots]}


#: Pixels: of bars at least; of bars with their names, so that the page need not make the chart smaller.
_LEAST_BARS, _NAMES_AND_BARS = 260, 800


def build_bars(rows: Sequence[Row], title: str, colour: str, *, whole: bool = False) -> Spec:
    """Horizontal bars from zero, each with its value: rows have "series", "v", "text" and "tip".

    With `whole` the values are counts.
    """
    y = {"field": "series", "type": "nominal", "title": None, "sort": None, "axis": _NAMES}
    x = axes.build_axis_from_zero("v", title, max(row["v"] for row in rows), whole=whole)
    bar = {"type": "bar", "color": colour, "height": {"band": 0.7}, "aria": True}
    text = {"type": "text", "align": "left", "dx": 4}
    names = axes.LETTER * max(len(str(row["series"])) for row in rows)
    return {
        "width": max(_LEAST_BARS, min(axes.WIDTH - 100, _NAMES_AND_BARS - names)),
        "height": {"step": 22},
        "data": {"values": list(rows)},
        "layer": [
            {"mark": bar, "encoding": {"x": x, "y": y, "description": {"field": "tip"}}},
            {"mark": text, "encoding": {"x": x, "y": y, "text": {"field": "text"}}},
        ],
    }


_SIDE = 190  # pixels of each plot of a study
_OFFSET = 0.035  # share of the axis between points with the same x
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")


def build_study_scatter(points: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> Spec:
    """Plots side by side, one for each metric of `points` (see lab.load.analysis.study.build_plot_points).

    All have the same vertical axis, from 0.
    """
    every = [one for of in points.values() for one in of]
    top = max(one["y"] if one["high"] is None else one["high"] for one in every) or 1.0
    keys = _keys(every)
    drawings = [
        _against(metric, of, title if not number else None, top, keys)
        for number, (metric, of) in enumerate(points.items())
    ]
    return {"hconcat": drawings, "spacing": 24}


def study_bars(points: Sequence[Mapping[str, Any]], title: str) -> Spec:
    """Horizontal bars from zero, software beside software for each topology; a line is the interval of a bar.

    Points have "topology", "software", "y", and "low" and "high", which may be None.
    """
    software = list(dict.fromkeys(one["software"] for one in points))
    top = max(one["y"] if one["high"] is None else one["high"] for one in points) or 1.0
    x = axes.build_axis_from_zero("y", title, top)
    y = {"field": "topology", "type": "nominal", "title": None, "sort": None, "axis": _NAMES}
    beside = {"field": "software", "type": "nominal", "sort": software}
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(software))]
    colour = {
        "field": "software", "type": "nominal", "title": None, "scale": {"domain": software, "range": colours},
        "legend": axes.build_legend(software, 3 * _SIDE),
    }  # fmt: skip
    rows = [{**one, "tip": f"{one['topology']}, {one['software']}: {_spread(one)}"} for one in points]
    bar = {"x": x, "y": y, "yOffset": beside, "color": colour, "description": {"field": "tip"}}
    rule = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, "yOffset": beside}
    return {
        "width": max(_LEAST_BARS, 3 * _SIDE - axes.LETTER * max(len(one["topology"]) for one in points)),
        "height": {"step": 18, "for": "offset"},
        "data": {"values": rows},
        "layer": [
            {"mark": {"type": "bar", "aria": True}, "encoding": bar},
            {
                "mark": {"type": "rule", "strokeWidth": 1.6, "color": FOREGROUND},
                "transform": [{"filter": "isValid(datum.low)"}],
                "encoding": rule,
            },
        ],
    }


def _keys(every: Sequence[Mapping[str, Any]]) -> Spec:
    """Colours tell topologies apart, shapes what software they run."""
    names = list(dict.fromkeys(one["topology"] for one in every))
    software = list(dict.fromkeys(one["software"] for one in every))
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(names))]
    shapes = [_SHAPES[number % len(_SHAPES)] for number in range(len(software))]
    place = axes.build_legend([*names, *software], 3 * _SIDE)
    legend = {"symbolSize": 90, "symbolStrokeWidth": 0, "symbolFillColor": FOREGROUND, **place}
    return {
        "color": {
            "field": "topology", "type": "nominal", "title": None, "scale": {"domain": names, "range": colours},
            "legend": place,
        },
        "shape": {
            "field": "software", "type": "nominal", "title": None, "scale": {"domain": software, "range": shapes},
            "legend": legend if len(software) > 1 else None,
        },
    }  # fmt: skip


def _against(metric: str, points: Sequence[Mapping[str, Any]], title: str | None, top: float, keys: Spec) -> Spec:
    values = [one["x"] for one in points]
    room = (max(values) - min(values)) * 0.16 or 0.5
    domain = [min(values) - room, max(values) + room]
    whole = (
        {"values": axes.compute_whole_ticks(domain[0], domain[1], 4), "format": "d"}
        if metric in ("diameter", "max_degree")
        else {}
    )
    x = {
        "field": "x", "type": "quantitative", "title": metric.replace("_", " "),
        "scale": {"domain": domain, "nice": False, "zero": False},
        "axis": {"grid": False, "tickCount": 4, **whole},
    }  # fmt: skip
    y = {
        "field": "y", "type": "quantitative", "title": title, "scale": {"domain": [0, 1.08 * top], "nice": False},
        "axis": {"tickCount": 5, **({} if title else {"labels": False, "ticks": False})},
    }  # fmt: skip
    rows = [
        {**one, "bottom": None if one["low"] is None else max(0.0, one["low"]), "tip": _tip(metric, one), "x": place}
        for one, place in zip(points, _beside(values, (max(values) - min(values) or 1.0) * _OFFSET), strict=True)
    ]
    bar = {"x": x, "y": {**y, "field": "bottom"}, "y2": {"field": "high"}, "color": keys["color"]}
    dot = {"x": x, "y": y, **keys, "description": {"field": "tip"}}
    return {
        "width": _SIDE,
        "height": _SIDE,
        "data": {"values": rows},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 1.6},
                "transform": [{"filter": "isValid(datum.bottom)"}],
                "encoding": bar,
            },
            {"mark": {"type": "point", "filled": True, "size": 80, "opacity": 1, "aria": True}, "encoding": dot},
        ],
    }


def _beside(values: Sequence[float], apart: float) -> list[float]:
    """Where to draw these, so that equal ones stand beside each other, around their place."""
    seen: Counter[float] = Counter()
    found = []
    for value in values:
        found.append(value + (seen[value] - (values.count(value) - 1) / 2) * apart)
        seen[value] += 1
    return found


def _tip(metric: str, one: Mapping[str, Any]) -> str:
    return f"{one['topology']} ({one['software']}): {_spread(one)} at {metric.replace('_', ' ')} {one['x']:g}"


def _spread(one: Mapping[str, Any]) -> str:
    """A mean with its interval, if it has one."""
    return f"{one['y']:.3g}" + ("" if one["high"] is None else f" ({one['low']:.3g} to {one['high']:.3g})")
