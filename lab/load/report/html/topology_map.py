"""A heat map of the topology: servers coloured by the cores that they used, links by delay, as wide as they were used.

The positions are those of `xmpplab graph`. A link is two arrows, because its directions differ; a direction that
carried nothing is a thin dashed line. Messages within a server and to rooms belong to no link and are not shown.
Names stand below the servers; where one is long, or two would overlap, numbers stand there and `list_key` names
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import atan2, degrees, hypot
from typing import Any

from lab.load.metrics.counters import sum_counters
from lab.load.metrics.result import Result
from lab.load.report.html.axes import compute_log_domain, compute_log_ticks
from lab.load.report.html.vega import BACKGROUND, FOREGROUND, Spec
from lab.load.workload.recipients import PRESENCE
from lab.report.graph.layout import Point, compute_layout
from lab.topology.facts import find_neighbours
from lab.topology.spec import Topology

WIDTH, HEIGHT = 620, 440  # pixels, at most
UNIT = 190  # pixels of one link, at most
MARGIN = 46  # pixels around, for names
NODE, SMALL_NODE = 17, 7  # pixels of a server's radius
MANY = 30  # servers from which on they are drawn small
NAMELESS = 80  # servers from which on names are in tooltips only
LONG = 24  # characters of a name up to which it may stand below its server
LETTER = 6.6  # pixels of a bold character
BELOW = 30  # pixels of height of the texts below a server
APART = 4.5  # pixels between a direction's line and the middle of the link
HEAD = 7  # pixels of an arrow's head
COOL_TO_HOT = ["#3f8ad6", "#8c7fc2", "#d1300f"]
#: From idle to one core or more, always: else the busiest of several idle servers would be red.
LIGHT_TO_HOT = ["#eef2f7", "#f6c98c", "#e8833a", "#b8260b"]
NOT_METERED = "#9aa0a6"
CORES = (0.0, 0.1, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_BELOW = {"orient": "bottom", "direction": "horizontal", "gradientLength": 170, "titleLimit": 200}

Row = dict[str, Any]


@dataclass(frozen=True)
class _Canvas:
    """The positions of servers in pixels; the vertical axis points down."""

    points: Mapping[str, Point]
    width: float
    height: float
    radius: float


def build_map(topology: Topology, result: Result) -> Spec:
    """The map as a Vega-Lite specification."""
    canvas = _canvas(topology)
    arrows = _arrows(topology, result, canvas)
    used = [row for row in arrows if row["rate"]]
    layers = [
        _idle_arrows([row for row in arrows if not row["rate"]]),
        *_used_arrows(used),
        *_servers(topology, result, canvas),
    ]
    return {
        "width": canvas.width,
        "height": canvas.height,
        "layer": [layer for layer in layers if layer],
        "encoding": {"x": _axis("x", canvas.width), "y": _axis("y", canvas.height, down=True)},
        "resolve": {"scale": {"color": "independent", "strokeWidth": "independent"}},
    }


def list_key(topology: Topology) -> list[str]:
    """The names of the servers in the order of their numbers; [] where names stand in the map, or only in tooltips."""
    names = [server.name for server in topology.servers]
    if len(names) >= NAMELESS:
        return []
    points = _canvas(topology).points
    overlap = any(
        abs(points[a][1] - points[b][1]) < BELOW and abs(points[a][0] - points[b][0]) < LETTER * (len(a) + len(b)) / 2
        for a, b in combinations(names, 2)
    )
    return names if overlap or max(map(len, names)) > LONG else []


def _canvas(topology: Topology) -> _Canvas:
    raw = compute_layout(find_neighbours(topology))
    width, height = (max(point[axis] for point in raw.values()) for axis in (0, 1))
    unit = min(UNIT, (WIDTH - 2 * MARGIN) / max(width, 1e-9), (HEIGHT - 2 * MARGIN) / max(height, 1e-9))
    points = {name: (x * unit + MARGIN, y * unit + MARGIN) for name, (x, y) in raw.items()}
    size = (max(width * unit, 120.0) + 2 * MARGIN, height * unit + 2 * MARGIN)
    return _Canvas(points, *size, NODE if len(points) < MANY else SMALL_NODE)


def _axis(axis: str, size: float, *, down: bool = False) -> Spec:
    domain = [size, 0] if down else [0, size]
    return {"field": axis, "type": "quantitative", "axis": None, "scale": {"domain": domain, "nice": False}}


def _arrows(topology: Topology, result: Result, canvas: _Canvas) -> list[Row]:
    """An arrow for each direction of each link, side by side, from the edge of one server to that of the other."""
    rows = []
    for link in topology.links:
        for source, target in ((link.a, link.b), (link.b, link.a)):
            (x1, y1), (x2, y2) = canvas.points[source], canvas.points[target]
            length = hypot(x2 - x1, y2 - y1) or 1.0
            along = ((x2 - x1) / length, (y2 - y1) / length)
            aside = (-along[1] * APART, along[0] * APART)
            begin, end = canvas.radius + 2, length - canvas.radius - HEAD / 2 - 2
            rows.append(
                {
                    "x": x1 + along[0] * begin + aside[0],
                    "y": y1 + along[1] * begin + aside[1],
                    "x2": x1 + along[0] * end + aside[0],
                    "y2": y1 + along[1] * end + aside[1],
                    "angle": degrees(atan2(along[1], along[0])) + 90,
                    **_traffic(f"{source}->{target}", result),
                }
            )
    return rows


def _traffic(route: str, result: Result) -> Row:
    """Rate and delay of a route, messages and presence together."""
    tally = sum_counters(result.routes[name] for name in (route, PRESENCE + route) if name in result.routes)
    rate, p99 = tally.received / (result.length or 1.0), 1000 * tally.intended.percentile(99)
    tip = f"{route}: {rate:.1f} per s, {tally.sent} sent, {tally.received} received, {tally.lost} lost, "
    tip += f"{tally.bounced.total()} bounced; p50 {1000 * tally.intended.percentile(50):.1f} ms, p99 {p99:.1f} ms"
    return {"rate": rate, "p99": p99, "tip": tip if tally.deliveries or tally.sent else f"{route}: nothing was sent"}


def _idle_arrows(rows: Sequence[Row]) -> Spec:
    """The layer of the directions that carried nothing."""
    if not rows:
        return {}
    mark = {"type": "rule", "color": FOREGROUND, "opacity": 0.45, "strokeDash": [3, 4], "aria": True}
    return {"data": {"values": list(rows)}, "mark": mark, "encoding": {**_ENDS, "description": {"field": "tip"}}}


_ENDS: Spec = {"x2": {"field": "x2"}, "y2": {"field": "y2"}}


def _used_arrows(rows: Sequence[Row]) -> list[Spec]:
    if not rows:
        return []
    domain = compute_log_domain(min(row["p99"] for row in rows), max(row["p99"] for row in rows))
    most = max(row["rate"] for row in rows)
    colour = {
        "field": "p99", "type": "quantitative", "title": "p99 of a link (ms)",
        "scale": {"type": "log", "domain": domain, "range": COOL_TO_HOT, "interpolate": "rgb", "nice": False},
        "legend": {**_BELOW, "values": compute_log_ticks(*domain), "format": "~r"},
    }  # fmt: skip
    width = {
        "field": "rate", "type": "quantitative", "title": "messages per s",
        "scale": {"domain": [0, most], "range": [1, 7], "nice": False},
        "legend": {**_BELOW, "symbolType": "stroke", "symbolSize": 300, "values": _legend_rates(most), "format": "~r"},
    }  # fmt: skip
    data = {"values": list(rows)}
    tip = {"description": {"field": "tip"}}
    return [
        {
            "data": data,
            "mark": {"type": "rule", "aria": True},
            "encoding": {**_ENDS, "color": colour, "strokeWidth": width, **tip},
        },
        {
            "data": data,
            "mark": {"type": "point", "shape": "triangle", "filled": True, "size": 90, "opacity": 1, "aria": True},
            "encoding": {
                "x": {**_axis("x2", 0), "scale": {}},
                "y": {**_axis("y2", 0), "scale": {}},
                "angle": {"field": "angle", "type": "quantitative", "scale": None},
                "color": {**colour, "legend": None},
                **tip,
            },
        },
    ]


def _legend_rates(most: float) -> list[float]:
    """Two or three round rates for the legend of the width."""
    return compute_log_ticks(most / 10, most)[-3:]


def _servers(topology: Topology, result: Result, canvas: _Canvas) -> list[Spec]:
    rows = _nodes(topology, result.cores(), canvas)
    most = max([1.0, *(row["cores"] for row in rows if row["cores"] is not None)])
    colour = {
        "field": "cores", "type": "quantitative", "title": "cores used",
        "scale": {"type": "sqrt", "domain": [0, most], "range": LIGHT_TO_HOT, "interpolate": "rgb", "nice": False},
        "legend": {**_BELOW, "values": [v for v in CORES if v <= most], "format": "~r"},
    }  # fmt: skip
    fill = {"condition": {"test": "isValid(datum.cores)", **colour}, "value": NOT_METERED}
    area = 4 * canvas.radius**2  # Vega's size of a circle: the square of its diameter
    disc = {"type": "point", "filled": True, "size": area, "stroke": FOREGROUND, "strokeWidth": 1.5, "aria": True}
    layers: list[Spec] = [{"mark": {**disc, "opacity": 1}, "encoding": {"fill": fill, "description": {"field": "tip"}}}]
    if len(rows) < NAMELESS:
        layers += _labels("label", canvas.radius + 11, "bold")
    if len(rows) < MANY:
        layers += _labels("figure", canvas.radius + 24, "normal")
    return [{"data": {"values": rows}, **layer} for layer in layers]


def _labels(field: str, below: float, weight: str) -> list[Spec]:
    """A text below each server, with an outline in the background colour, because lines cross it."""
    text = {"type": "text", "dy": below, "fontWeight": weight}
    outline = {**text, "stroke": BACKGROUND, "strokeWidth": 3, "color": BACKGROUND}
    return [{"mark": mark, "encoding": {"text": {"field": field}}} for mark in (outline, text)]


def _nodes(topology: Topology, busy: Mapping[str, float], canvas: _Canvas) -> list[Row]:
    rows = []
    numbered = bool(list_key(topology))
    for number, server in enumerate(topology.servers, start=1):
        x, y = canvas.points[server.name]
        cores = busy.get(server.name)
        figure = "" if cores is None else f"{cores:.2f} cores"
        tip = f"{server.name} ({server.software}): {figure or 'not metered'}"
        label = str(number) if numbered else server.name
        rows.append({"x": x, "y": y, "label": label, "cores": cores, "figure": figure, "tip": tip})
    return rows
