"""Confidence intervals for the ratio of two loads' figures, from the seconds of their steady states.

A moving-block bootstrap: the steady state is divided into segments in their order; blocks of neighbouring segments are
drawn until there are as many segments again, from both loads independently, and each draw gives figures and their
ratio. Blocks are used because a second is similar to the one before it (Künsch 1989). The interval is the middle 95 %
of the ratios, made wider by the ratio of Student's t to the normal distribution for so few blocks: without that it
would be too narrow for short loads.

The interval contains what varies within a run. How much runs vary from each other a single pair cannot show.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from lab.load.analysis.study import compute_student_t
from lab.load.metrics.histogram import Histogram
from lab.load.metrics.result import Result, Usage
from lab.load.model.spec import seeded_rng

#: Whole seconds of steady state that an interval needs at least.
MIN_SECONDS = 8
#: Segments of a steady state at most; a longer one has longer segments.
MAX_SEGMENTS = 40
DRAWS = 300
PERCENTS = (50, 95, 99)
_LOW, _HIGH = 0.025, 0.975
_NORMAL = 1.96  # its 97.5 %


@dataclass
class Segment:
    """One or several seconds of a steady state."""

    length: float = 0.0  # seconds
    received: int = 0
    delays: Histogram = field(default_factory=Histogram)
    cpu: dict[str, float] = field(default_factory=dict)  # seconds by server and worker

    def add(self, other: Segment) -> None:
        """Add all counts of another segment."""
        self.length += other.length
        self.received += other.received
        self.delays.add(other.delays)
        for name, spent in other.cpu.items():
            self.cpu[name] = self.cpu.get(name, 0.0) + spent


def _figures(segment: Segment) -> dict[str, float]:
    """The figures that have an interval, by their names in lab.load.analysis.comparison."""
    found = {f"p{percent} ms": 1000 * segment.delays.percentile(percent) for percent in PERCENTS}
    found["received per s"] = segment.received / segment.length
    if segment.received:
        found |= {f"{name}: CPU s per 1000": 1000 * spent / segment.received for name, spent in segment.cpu.items()}
    return found


def compute_change_intervals(first: Result, second: Result) -> dict[str, tuple[float, float]]:
    """The change from the first to the second in percent, the least and the greatest (95 %), by figure.

    Empty where a load is too short.
    """
    a, b = split_segments(first), split_segments(second)
    if not a or not b:
        return {}
    drawn, ratios = seeded_rng("noise"), dict[str, list[float]]()
    for _ in range(DRAWS):
        of, others = _figures(_resampled(a, drawn)), _figures(_resampled(b, drawn))
        for name, value in others.items():
            if of.get(name) and value:
                ratios.setdefault(name, []).append(value / of[name])
    factor = _widening(min(len(a), len(b)))
    return {name: _interval(sorted(several), factor) for name, several in ratios.items() if len(several) == DRAWS}


def split_segments(result: Result) -> list[Segment]:
    """The whole seconds of a steady state in at most MAX_SEGMENTS segments; [] if there are too few seconds."""
    whole = [number for number, second in result.steady.items() if second.judged > 0.99 * second.covered > 0]
    if len(whole) < MIN_SECONDS:
        return []
    workers, each = result.plan.get("workers", 1), -(-len(whole) // MAX_SEGMENTS)
    found: list[Segment] = []
    for place, number in enumerate(whole):
        second = result.seconds[number]
        cpu = {**second.cpu, **_server_cpu(result.usage, number)}
        if place % each == 0:
            found.append(Segment())
        found[-1].add(Segment(second.covered / workers, second.tally.received, second.tally.intended, cpu))
    return found


def _server_cpu(usage: Mapping[str, Sequence[Usage]], second: int) -> dict[str, float]:
    """CPU seconds of servers in one second of the load, interpolated between readings."""
    found = {}
    for name, readings in usage.items():
        if readings and readings[0].at <= second and second + 1 <= readings[-1].at:
            found[name] = _cpu_at(readings, second + 1) - _cpu_at(readings, second)
    return found


def _cpu_at(readings: Sequence[Usage], moment: float) -> float:
    after = min(bisect_left(readings, moment, key=lambda one: one.at), len(readings) - 1)
    one, other = readings[max(0, after - 1)], readings[after]
    if other.at <= one.at:
        return other.cpu
    return one.cpu + (other.cpu - one.cpu) * (moment - one.at) / (other.at - one.at)


def _block(count: int) -> int:
    """The length of a block in segments, for that many segments."""
    return max(1, round(math.cbrt(count)))


def _resampled(several: Sequence[Segment], drawn: Random) -> Segment:
    """The sum of as many segments, drawn in blocks of neighbours."""
    length, left, whole = _block(len(several)), len(several), Segment()
    while left > 0:
        start = drawn.randrange(len(several) - length + 1)
        for segment in several[start : start + min(length, left)]:
            whole.add(segment)
        left -= length
    return whole


def _widening(count: int) -> float:
    blocks = count / _block(count)
    return compute_student_t(max(1, int(blocks) - 1)) / _NORMAL * math.sqrt(blocks / (blocks - 1))


def _interval(ratios: Sequence[float], factor: float) -> tuple[float, float]:
    last = len(ratios) - 1
    low, middle, high = (math.log(ratios[round(share * last)]) for share in (_LOW, 0.5, _HIGH))
    return 100 * math.expm1(middle - factor * (middle - low)), 100 * math.expm1(middle + factor * (high - middle))
