"""What a worker counts while it runs, and hands over as a sample each interval.

A route is a string: "local", "a->b" for a link from server a to b, "room", or the kind of an act that is no message
("login", "archive", ...), whose delay is the time until its answer. A message belongs to the warm-up or to the steady
state by the time at which it was due, wherever it is counted.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from lab.load.arrivals import parse
from lab.load.histogram import BITS, Histogram
from lab.load.spec import Load, Share
from lab.load.tally import Tally

_MICROSECOND = 1e6
#: Values that `received` records itself, without a call: cells of their own, or a shift; the rest goes by `record`.
_ORDINARY = 1_000_000_000  # µs


class Recorder:
    """Counts in place. `clock` gives seconds; it must be the one the delays were taken from."""

    def __init__(self, load: Load, share: Share, clock: Callable[[], float] = time.perf_counter) -> None:
        arrivals = parse(load.arrivals)
        self._plan = {
            "workers": share.of,
            "warmup": load.warmup,
            "seconds": load.seconds,
            "tick": load.tick,
            "expected": arrivals.expected(0.0, load.seconds) if arrivals.open else None,
        }
        self._worker, self._clock = share.index, clock
        self._began, self._length = math.inf, load.warmup
        self._steady_from = math.inf  # on the clock
        self._taken = clock()
        self._cpu = time.process_time()
        self._clear()

    def _clear(self) -> None:
        self._steady: defaultdict[str, Tally] = defaultdict(Tally)
        self._warmup: defaultdict[str, Tally] = defaultdict(Tally)
        self._lag = Histogram()
        self._reconnects = 0

    def start(self, at: float | None = None) -> None:
        """The warm-up begins: `at` on the clock (now) is time 0. What was counted before is warm-up too."""
        self._began = self._clock() if at is None else at
        self._steady_from = self._began + self._length
        self._taken = self._began
        self._cpu = time.process_time()

    def _tally(self, route: str, age: float) -> Tally:
        """Where to count a message of that route that was due `age` seconds ago."""
        return (self._steady if self._clock() - age >= self._steady_from else self._warmup)[route]

    def sent(self, route: str, intended: float, actual: float) -> None:
        """A message was written just now: due at `intended`, written at `actual` (seconds, any common zero)."""
        self._tally(route, actual - intended).sent += 1

    def received(self, route: str, delay_intended: float, delay_actual: float) -> None:
        """A message came just now, so long after it was due and after it was written."""
        tally = (self._steady if self._clock() - delay_intended >= self._steady_from else self._warmup)[route]
        tally.received += 1
        # Histogram.record twice, without the calls: this is done for every message.
        for histogram, delay in ((tally.intended, delay_intended), (tally.actual, delay_actual)):
            value = int(delay * _MICROSECOND)
            if 0 <= value < _ORDINARY:
                shift = value.bit_length() - BITS
                histogram.counts[value >> shift << shift if shift > 0 else value] += 1
            else:
                histogram.record(delay)

    def lost(self, route: str, age: float = 0.0) -> None:
        """A message that was due `age` seconds ago never came."""
        self._tally(route, age).lost += 1

    def bounced(self, route: str, condition: str, age: float = 0.0) -> None:
        """A message came back as an error; `condition` is its name, such as "remote-server-timeout"."""
        self._tally(route, age).bounced[condition] += 1

    def duplicate(self, route: str, age: float = 0.0) -> None:
        """A message came once more."""
        self._tally(route, age).duplicates += 1

    def out_of_order(self, route: str, age: float = 0.0) -> None:
        """A message came behind a later one of the same two people."""
        self._tally(route, age).out_of_order += 1

    def reconnect(self) -> None:
        """A connection broke and was made again."""
        self._reconnects += 1

    def lag(self, seconds: float) -> None:
        """The engine looked at what is due so much later than it meant to."""
        self._lag.record(seconds)

    def take(self) -> dict[str, Any]:
        """What was counted since the last take, as JSON-able data for `lab.load.results.merge`. About 1 s apart."""
        now, cpu = self._clock(), time.process_time()
        began = min(self._began, now)  # not started: all at time 0
        sample = {
            "plan": self._plan,
            "worker": self._worker,
            "from": max(0.0, self._taken - began) if self._began < math.inf else 0.0,
            "to": now - began,
            "cpu": cpu - self._cpu,
            "steady": {route: tally.sample() for route, tally in self._steady.items()},
            "warmup": {route: tally.sample() for route, tally in self._warmup.items()},
            "lag": self._lag.flat(),
            "reconnects": self._reconnects,
        }
        self._taken, self._cpu = now, cpu
        self._clear()
        return sample
