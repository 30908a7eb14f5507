"""What all charts share: sizes, axes, points with tooltips, legends of series."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from lab.load.report.html.vega import Spec

WIDTH, HEIGHT = 660, 200  # pixels of a plot without axes and legend
#: Characters of a name up to which a legend stands beside the plot; pixels of a character and of a symbol with its gap.
BESIDE, LETTER, SYMBOL = 24, 6, 36
#: More points than this have no tooltips: each adds 150 bytes to the page, and nobody could point at a single one.
POINTS = 700
_STEPS = (1.0, 2.0, 5.0, 10.0)


def compute_log_domain(low: float, high: float) -> list[float]:
    """The domain of an axis: both ends are 1, 2 or 5 times a power of ten; never empty."""
    start, stop = _rounded(low, up=False), _rounded(high, up=True)
    return [start, stop if stop > start else _rounded(start * 1.5, up=True)]


def compute_log_ticks(low: float, high: float) -> list[float]:
    """Ticks at 1, 2 and 5 times each power of ten in a domain; only at the powers if there are many."""
    steps = (1, 2, 5) if high / low <= 2000 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [float(f"{step}e{power}") for power in powers for step in steps]
    return [value for value in values if low * 0.9999 <= value <= high * 1.0001]


def compute_whole_ticks(low: float, high: float, most: int = 6) -> list[int]:
    """Whole numbers in a domain at equal distances, at most `most`: of few values Vega rounds 1.5 and 2 to one tick."""
    first, last = math.ceil(low), math.floor(high)
    step = next(
        size
        for size in (base * 10**power for power in count() for base in (1, 2, 5))
        if last // size + -first // size < most
    )
    return list(range(-(-first // step) * step, last + 1, step))


def build_log_axis(field: str, title: str, low: float, high: float) -> Spec:
    """A channel with a logarithmic axis for values from low to high, both above 0."""
    domain = compute_log_domain(low, high)
    return {
        "field": field, "type": "quantitative", "title": title,
        "scale": {"type": "log", "domain": domain, "nice": False},
        "axis": {"values": compute_log_ticks(*domain), "format": "~r"},
    }  # fmt: skip


def build_axis_from_zero(field: str, title: str, high: float, *, whole: bool = False) -> Spec:
    """A channel with an axis from 0 to somewhat above `high`; with `whole` its ticks are whole numbers."""
    domain = [0, 1.12 * high if high > 0 else 1]
    ticks = {"values": compute_whole_ticks(domain[0], domain[1]), "format": "d"} if whole else {"tickCount": 5}
    return {
        "field": field, "type": "quantitative", "title": title,
        "scale": {"domain": domain, "nice": False}, "axis": ticks,
    }  # fmt: skip


def build_legend(names: Sequence[str], width: int = WIDTH) -> Spec:
    """Where the legend of these names stands: beside the plots, whose width this is, or below if a name is long.

    Names are never cut. Below the plots there are as many columns as have space, one at least.
    """
    longest = max(map(len, names), default=0)
    if longest <= BESIDE:
        return {}
    return {"orient": "bottom", "direction": "vertical", "columns": max(1, int(width / (LETTER * longest + SYMBOL)))}


def build_key(names: Sequence[str], values: Mapping[str, Any], default: Any) -> Spec:
    """A channel that distinguishes series, with a legend in this order."""
    scale = {"type": "ordinal", "domain": list(names), "range": [values.get(name, default) for name in names]}
    look = {"symbolType": "stroke", "symbolSize": 250, **build_legend(names)}
    return {"field": "series", "type": "nominal", "title": None, "sort": None, "scale": scale, "legend": look}


def build_points(rows: Sequence[Mapping[str, Any]], encoding: Spec) -> list[Spec]:
    """A layer of points with tooltips ("tip" of a row); none if there are too many points."""
    if len(rows) > POINTS:
        return []
    mark = {"type": "circle", "size": 16, "opacity": 1, "aria": True}
    return [{"mark": mark, "encoding": {**encoding, "description": {"field": "tip"}}}]


def _rounded(value: float, *, up: bool) -> float:
    power = math.floor(math.log10(value))
    scaled = value / 10.0**power
    fits = [step for step in _STEPS if (step >= scaled * 0.9999 if up else step <= scaled * 1.0001)]
    return float(f"{min(fits) if up else max(fits):g}e{power}")
