"""A figure of a study against diameter, degree and betweenness: points with intervals, side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lab.load.report.html.vega import COLOURS, INK, Spec

SIDE, HEIGHT = 190, 190  # pixels of each
APART = 0.035  # of the extent: between points that have one place
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross")


def against_each(points: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> Spec:
    """`points` by metric, as `lab.load.analysis.study.against` gives them; all drawings have one vertical axis, from
    0."""
    every = [one for of in points.values() for one in of]
    top = max(one["y"] if one["high"] is None else one["high"] for one in every) or 1.0
    keys = _keys(every)
    drawings = [
        _against(metric, of, title if not number else None, top, keys)
        for number, (metric, of) in enumerate(points.items())
    ]
    return {"hconcat": drawings, "spacing": 24}


def _keys(every: Sequence[Mapping[str, Any]]) -> Spec:
    """Colours tell topologies apart, shapes what software they run."""
    names = list(dict.fromkeys(one["topology"] for one in every))
    software = list(dict.fromkeys(one["software"] for one in every))
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(names))]
    shapes = [_SHAPES[number % len(_SHAPES)] for number in range(len(software))]
    legend = {"symbolSize": 90, "symbolStrokeWidth": 0, "symbolFillColor": INK}
    return {
        "color": {"field": "topology", "type": "nominal", "title": None, "scale": {"domain": names, "range": colours}},
        "shape": {
            "field": "software", "type": "nominal", "title": None, "scale": {"domain": software, "range": shapes},
            "legend": legend if len(software) > 1 else None,
        },
    }  # fmt: skip


def _against(metric: str, points: Sequence[Mapping[str, Any]], title: str | None, top: float, keys: Spec) -> Spec:
    values = [one["x"] for one in points]
    whole = {"tickMinStep": 1, "format": "d"} if metric in ("diameter", "max_degree") else {}
    room = (max(values) - min(values)) * 0.16 or 0.5
    x = {
        "field": "x", "type": "quantitative", "title": metric.replace("_", " "),
        "scale": {"domain": [min(values) - room, max(values) + room], "nice": False, "zero": False},
        "axis": {"grid": False, "tickCount": 4, **whole},
    }  # fmt: skip
    y = {
        "field": "y", "type": "quantitative", "title": title, "scale": {"domain": [0, 1.08 * top], "nice": False},
        "axis": {"tickCount": 5, **({} if title else {"labels": False, "ticks": False})},
    }  # fmt: skip
    rows = [
        {**one, "bottom": None if one["low"] is None else max(0.0, one["low"]), "tip": _tip(metric, one), "x": place}
        for one, place in zip(points, _beside(values, (max(values) - min(values) or 1.0) * APART), strict=True)
    ]
    bar = {"x": x, "y": {**y, "field": "bottom"}, "y2": {"field": "high"}, "color": keys["color"]}
    dot = {"x": x, "y": y, **keys, "description": {"field": "tip"}}
    return {
        "width": SIDE,
        "height": HEIGHT,
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
    spread = "" if one["high"] is None else f" ({one['low']:.3g} to {one['high']:.3g})"
    return f"{one['topology']} ({one['software']}): {one['y']:.3g}{spread} at {metric.replace('_', ' ')} {one['x']:g}"
