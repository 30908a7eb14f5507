"""How far two loads' figures lie apart by chance: intervals of their ratio, from the seconds of their steady states.

A moving-block bootstrap: the steady state is cut into pieces in their order, runs of neighbouring pieces are drawn
until there are as many again, of both loads independently, and each draw has its figures and their ratio. Blocks,
because a second is like the one before it (Künsch 1989). The 95 % in the middle are the interval, wider by as much as
Student's t is wider than the normal distribution for so few blocks, or it would be too narrow for short loads.

It holds what varies within a run. How much runs vary from each other, a single pair cannot tell.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from lab.load.analysis.study import student
from lab.load.metrics.histogram import Histogram
from lab.load.metrics.result import Result, Usage
from lab.load.model.spec import seeded_rng

#: Whole seconds of steady state from which on there is an interval.
LEAST = 8
#: Pieces that a steady state is cut into at most; a longer one has longer pieces.
MOST = 40
DRAWS = 300
PERCENTS = (50, 95, 99)
_LOW, _HIGH = 0.025, 0.975
_NORMAL = 1.96  # its 97.5 %


@dataclass
class Piece:
    """A part of a steady state."""

    length: float = 0.0  # seconds
    received: int = 0
    delays: Histogram = field(default_factory=Histogram)
    cpu: dict[str, float] = field(default_factory=dict)  # seconds by server and worker

    def add(self, other: Piece) -> None:
        """Count all of another one's as well."""
        self.length += other.length
        self.received += other.received
        self.delays.add(other.delays)
        for name, spent in other.cpu.items():
            self.cpu[name] = self.cpu.get(name, 0.0) + spent


def figures(piece: Piece) -> dict[str, float]:
    """What noise is told of, by the names that lab.load.analysis.comparison has for it."""
    found = {f"p{percent} ms": 1000 * piece.delays.percentile(percent) for percent in PERCENTS}
    found["received per s"] = piece.received / piece.length
    if piece.received:
        found |= {f"{name}: CPU s per 1000": 1000 * spent / piece.received for name, spent in piece.cpu.items()}
    return found


def changes(first: Result, second: Result) -> dict[str, tuple[float, float]]:
    """By how many percent more or less the second has, at least and at most, but for chance. {} of too short loads."""
    a, b = pieces(first), pieces(second)
    if not a or not b:
        return {}
    drawn, ratios = seeded_rng("noise"), dict[str, list[float]]()
    for _ in range(DRAWS):
        of, others = figures(_drawn(a, drawn)), figures(_drawn(b, drawn))
        for name, value in others.items():
            if of.get(name) and value:
                ratios.setdefault(name, []).append(value / of[name])
    wider = _wider(min(len(a), len(b)))
    return {name: _middle(sorted(several), wider) for name, several in ratios.items() if len(several) == DRAWS}


def pieces(result: Result) -> list[Piece]:
    """The whole seconds of a steady state, at most MOST of them or longer ones; [] if there are too few."""
    whole = [number for number, second in result.steady.items() if second.judged > 0.99 * second.covered > 0]
    if len(whole) < LEAST:
        return []
    workers, each = result.plan.get("workers", 1), -(-len(whole) // MOST)
    found: list[Piece] = []
    for place, number in enumerate(whole):
        second = result.seconds[number]
        cpu = {**second.cpu, **_used(result.usage, number)}
        if place % each == 0:
            found.append(Piece())
        found[-1].add(Piece(second.covered / workers, second.tally.received, second.tally.intended, cpu))
    return found


def _used(usage: Mapping[str, Sequence[Usage]], second: int) -> dict[str, float]:
    """CPU seconds of servers in a second of the load; between two readings it is spent evenly."""
    found = {}
    for name, readings in usage.items():
        if readings and readings[0].at <= second and second + 1 <= readings[-1].at:
            found[name] = _at(readings, second + 1) - _at(readings, second)
    return found


def _at(readings: Sequence[Usage], moment: float) -> float:
    after = min(bisect_left(readings, moment, key=lambda one: one.at), len(readings) - 1)
    one, other = readings[max(0, after - 1)], readings[after]
    if other.at <= one.at:
        return other.cpu
    return one.cpu + (other.cpu - one.cpu) * (moment - one.at) / (other.at - one.at)


def _block(count: int) -> int:
    """Pieces of a block, out of so many."""
    return max(1, round(math.cbrt(count)))


def _drawn(several: Sequence[Piece], drawn: Random) -> Piece:
    """As many pieces, in runs of neighbours."""
    length, left, whole = _block(len(several)), len(several), Piece()
    while left > 0:
        start = drawn.randrange(len(several) - length + 1)
        for piece in several[start : start + min(length, left)]:
            whole.add(piece)
        left -= length
    return whole


def _wider(count: int) -> float:
    blocks = count / _block(count)
    return student(max(1, int(blocks) - 1)) / _NORMAL * math.sqrt(blocks / (blocks - 1))


def _middle(ratios: Sequence[float], wider: float) -> tuple[float, float]:
    last = len(ratios) - 1
    low, middle, high = (math.log(ratios[round(share * last)]) for share in (_LOW, 0.5, _HIGH))
    return 100 * math.expm1(middle - wider * (middle - low)), 100 * math.expm1(middle + wider * (high - middle))
