"""Lines over the seconds of a load: throughput, delay, processors, memory. The warm-up and the drain are shaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.load.report.html import axes
from lab.load.report.html.series import LAG, Row
from lab.load.report.html.vega import COLOURS, INK, Spec

_GREY = COLOURS[7]
#: How the series of throughput lie on each other, so that all are seen where they agree.
_RATES = {"intended": _GREY, "sent": COLOURS[0], "received": COLOURS[1]}
_WIDTHS = {"intended": 7.0, "sent": 3.2, "received": 1.4}
_DELAYS = {"max": COLOURS[3], "p99": COLOURS[1], "p90": COLOURS[0], "p50": COLOURS[2], LAG: _GREY}
_DASHES = {"max": [2, 2], LAG: [6, 3]}


@dataclass(frozen=True)
class Course:
    """A load's own times, in seconds since its start."""

    warmup: float
    end: float  # nothing is written any more; what comes later is the drain
    last: float  # of what is shown


def throughput(rows: Sequence[Row], course: Course) -> Spec:
    """Intended, sent and received per second."""
    names = [name for name in _RATES if any(row["series"] == name for row in rows)]
    return _over_time(rows, course, axes.from_zero("v", "per second", _high(rows)), names, _RATES, widths=_WIDTHS)


def delay(rows: Sequence[Row], course: Course) -> Spec:
    """Percentiles of each interval, and how late the generator was."""
    names = [name for name in _DELAYS if any(row["series"] == name for row in rows)]
    y = axes.logarithmic("v", "milliseconds", min(row["v"] for row in rows), _high(rows))
    return _over_time(rows, course, y, names, _DELAYS, dashes=_DASHES)


def processes(rows: Sequence[Row], course: Course, title: str, names: Sequence[str], broken: Sequence[str]) -> Spec:
    """A figure of several processes; the lines of `broken` ones are broken."""
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    dashes = {name: [5, 3] for name in broken}
    return _over_time(rows, course, axes.from_zero("v", title, _high(rows)), names, colours, dashes=dashes)


def _high(rows: Sequence[Row]) -> float:
    return max((row["v"] for row in rows), default=0.0)


def _over_time(
    rows: Sequence[Row],
    course: Course,
    y: Spec,
    names: Sequence[str],
    colours: Mapping[str, str],
    *,
    widths: Mapping[str, float] | None = None,
    dashes: Mapping[str, list[int]] | None = None,
) -> Spec:
    x = {
        "field": "t", "type": "quantitative", "title": "seconds since the start of the load",
        "scale": {"domain": [0, course.last], "nice": False}, "axis": {"grid": False, "tickCount": 12},
    }  # fmt: skip
    place = {"x": x, "y": y, "color": axes.key(names, colours, INK)}
    look = {"strokeWidth": axes.key(names, widths or {}, 1.8), "strokeDash": axes.key(names, dashes or {}, [1, 0])}
    lines = {"mark": {"type": "line", "strokeJoin": "round"}, "encoding": {**place, **look}}
    layers = [*_shades(course), lines, *axes.points(rows, place)]
    return {"width": axes.WIDTH, "height": axes.HEIGHT, "data": {"values": list(rows)}, "layer": layers}


def _shades(course: Course) -> list[Spec]:
    """The ground of the warm-up and of the drain, with their names."""
    grounds: list[dict[str, Any]] = []
    if course.warmup:
        grounds.append({"from": 0, "to": min(course.warmup, course.last), "name": "warm-up"})
    if course.last > course.end:
        grounds.append({"from": course.end, "to": course.last, "name": "drain"})
    if not grounds:
        return []
    x = {"field": "from", "type": "quantitative"}
    text = {"type": "text", "align": "left", "baseline": "top", "dx": 4, "opacity": 0.7}
    ground = {"mark": {"type": "rect", "color": INK, "opacity": 0.07}, "encoding": {"x": x, "x2": {"field": "to"}}}
    name = {"mark": text, "encoding": {"x": x, "y": {"value": 3}, "text": {"field": "name"}}}
    return [{"data": {"values": grounds}, **layer} for layer in (ground, name)]
