"""How a rate changes with time: pieces on which it is constant or grows evenly, and how many arrivals that makes.

`passed(t)` is the integral of the rate: the expected count of arrivals until t. Arrivals are found by its inverse.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: Steps without an end stop growing here: a day is longer than any load is carried.
_LONGEST = 86_400.0


@dataclass(frozen=True)
class Piece:
    """From `start` (s) on the rate is `rate` (1/s) plus `slope` (1/s²) per second, until the next piece starts."""

    start: float
    rate: float
    slope: float = 0.0


class Rates:
    """A rate over time: pieces from time 0 on, the last one without an end (and level)."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = tuple(pieces)
        self._starts = [piece.start for piece in self.pieces]
        self._counts = [0.0]  # arrivals passed at each piece's start
        for piece, after in zip(self.pieces, self.pieces[1:], strict=False):
            self._counts.append(self._counts[-1] + _area(piece, after.start - piece.start))

    @property
    def _level(self) -> bool:
        """Whether the rate never changes."""
        return len(self.pieces) == 1 and not self.pieces[0].slope

    def peak(self, until: float) -> float:
        """The highest rate up to a time: it lies at the start or the end of a piece."""
        starts = [start for start in self._starts if start <= until]
        return max(self.at(at) for at in (*starts, until))

    def at(self, time: float) -> float:
        """The rate at a time."""
        piece = self.pieces[max(0, bisect_right(self._starts, time) - 1)]
        return piece.rate + piece.slope * max(0.0, time - piece.start)

    def passed(self, time: float) -> float:
        """How many arrivals are expected until a time."""
        if time <= 0:
            return 0.0
        index = bisect_right(self._starts, time) - 1
        return self._counts[index] + _area(self.pieces[index], time - self._starts[index])

    def inverse(self) -> Callable[[float], float]:
        """A function from a count to the time when it has passed, infinity if it never does; for rising counts."""
        index, counts, pieces = 0, self._counts, self.pieces
        last = len(pieces) - 1
        if self._level and (rate := pieces[0].rate):  # most loads, so without a look for the piece
            return lambda count: count / rate

        def when(count: float) -> float:
            nonlocal index
            while index < last and counts[index + 1] <= count:
                index += 1
            piece, more = pieces[index], count - counts[index]
            if not piece.slope:
                if not piece.rate:  # only the last piece can be empty here
                    return math.inf
                return piece.start + more / piece.rate
            # Of rate * t + slope * t² / 2 = more, the root that stays exact for small slopes.
            root = math.sqrt(max(0.0, piece.rate**2 + 2 * piece.slope * more))
            return piece.start + (2 * more / (piece.rate + root) if more else 0.0)

        return when

    def after(self, delay: float) -> Rates:
        """The same, `delay` seconds later; until then its first rate."""
        if not delay or self._level:
            return self
        moved = [Piece(piece.start + delay, piece.rate, piece.slope) for piece in self.pieces]
        return Rates([Piece(0.0, self.pieces[0].rate), *moved])


def _area(piece: Piece, length: float) -> float:
    return piece.rate * length + piece.slope * length * length / 2


def constant(rate: float) -> Rates:
    """Always the same."""
    return Rates([Piece(0.0, rate)])


def ramp(start: float, end: float, *, over: float) -> Rates:
    """From one rate to another within `over` seconds (more than 0), then it stays."""
    return Rates([Piece(0.0, start, (end - start) / over), Piece(over, end)])


def steps(start: float, more: float, *, each: float, to: float | None = None) -> Rates:
    """`more` is added after each `each` seconds (at least 1), until `to` is reached if it is given."""
    highest = math.inf if to is None else max(to, start)
    count = int(min(_LONGEST / each, math.ceil((highest - start) / more) if to is not None else math.inf))
    return Rates([Piece(number * each, min(start + number * more, highest)) for number in range(count + 1)])


def spike(ground: float, top: float, *, at: float, length: float) -> Rates:
    """A rate, from `at` on another one for `length` seconds, then the first again."""
    before = [Piece(0.0, ground)] if at else []
    return Rates([*before, Piece(at, top), Piece(at + length, ground)])
