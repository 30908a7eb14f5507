"""How a rate changes with time: segments on which it is constant or linear, and how many arrivals that makes.

`count_until(t)` is the integral of the rate: the expected count of arrivals until t. Arrivals are found by its inverse.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Seconds after which steps without an end stop growing: no load lasts a day.
_LONGEST = 86_400.0


@dataclass(frozen=True)
class RateSegment:
    """From `start` (s) on the rate is `rate` (1/s) plus `slope` (1/s²) per second, until the next segment."""

    start: float
    rate: float
    slope: float = 0.0


class Rates:
    """A rate over time: segments from time 0 on, the last one without an end (and level)."""

    def __init__(self, segments: Sequence[RateSegment]) -> None:
        self.segments = tuple(segments)
        self._starts = [segment.start for segment in self.segments]
        self._counts = [0.0]  # arrivals expected before each segment
        for segment, after in zip(self.segments, self.segments[1:], strict=False):
            self._counts.append(self._counts[-1] + _area(segment, after.start - segment.start))

    @property
    def _level(self) -> bool:
        """Whether the rate never changes."""
        return len(self.segments) == 1 and not self.segments[0].slope

    def find_peak(self, until: float) -> float:
        """The highest rate up to a time: it lies at the start or the end of a segment."""
        starts = [start for start in self._starts if start <= until]
        return max(self.get_rate(at) for at in (*starts, until))

    def get_rate(self, time: float) -> float:
        """The rate at a time."""
        segment = self.segments[max(0, bisect_right(self._starts, time) - 1)]
        return segment.rate + segment.slope * max(0.0, time - segment.start)

    def count_until(self, time: float) -> float:
        """How many arrivals are expected until a time."""
        if time <= 0:
            return 0.0
        index = bisect_right(self._starts, time) - 1
        return self._counts[index] + _area(self.segments[index], time - self._starts[index])

    def invert(self) -> Callable[[float], float]:
        """A function from a count to the time when it has passed, infinity if it never does; for rising counts."""
        index, counts, segments = 0, self._counts, self.segments
        last = len(segments) - 1
        if self._level and (rate := segments[0].rate):  # most loads: no search for the segment
            return lambda count: count / rate

        def when(count: float) -> float:
            nonlocal index
            while index < last and counts[index + 1] <= count:
                index += 1
            segment, more = segments[index], count - counts[index]
            if not segment.slope:
                if not segment.rate:  # only the last segment can be empty here
                    return math.inf
                return segment.start + more / segment.rate
            # Of rate * t + slope * t² / 2 = more, the root that stays exact for small slopes.
            root = math.sqrt(max(0.0, segment.rate**2 + 2 * segment.slope * more))
            return segment.start + (2 * more / (segment.rate + root) if more else 0.0)

        return when

    def shift(self, delay: float) -> Rates:
        """The same, `delay` seconds later; until then its first rate."""
        if not delay or self._level:
            return self
        moved = [RateSegment(segment.start + delay, segment.rate, segment.slope) for segment in self.segments]
        return Rates([RateSegment(0.0, self.segments[0].rate), *moved])


def _area(segment: RateSegment, length: float) -> float:
    return segment.rate * length + segment.slope * length * length / 2


def constant(rate: float) -> Rates:
    """Always the same."""
    return Rates([RateSegment(0.0, rate)])


def ramp(start: float, end: float, *, over: float) -> Rates:
    """From one rate to another within `over` seconds (more than 0), then it stays."""
    return Rates([RateSegment(0.0, start, (end - start) / over), RateSegment(over, end)])


def steps(start: float, more: float, *, each: float, to: float | None = None) -> Rates:
    """`more` is added after each `each` seconds (at least 1), until `to` is reached if it is given."""
    highest = math.inf if to is None else max(to, start)
    count = int(min(_LONGEST / each, math.ceil((highest - start) / more) if to is not None else math.inf))
    return Rates([RateSegment(number * each, min(start + number * more, highest)) for number in range(count + 1)])


def spike(base: float, top: float, *, at: float, length: float) -> Rates:
    """A rate, from `at` on another one for `length` seconds, then the first again."""
    before = [RateSegment(0.0, base)] if at else []
    return Rates([*before, RateSegment(at, top), RateSegment(at + length, base)])
