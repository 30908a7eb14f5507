"""The counters of a worker while it runs, from which it takes a sample each interval.

A route is a string: "local", "a->b" for a link from server a to b, "room", or the name of a request ("login",
"archive", ...), whose delay is the time until its answer. A message belongs to the warm-up or to the steady state by
the time at which it was due; callers know which.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.histogram import Histogram
from lab.load.model.spec import Load, Shard


class SampleRecorder:
    """Counts in place. `expected` is how many messages the steady state asks for, None in the closed model.

    `clock` gives seconds, and must be the clock of the delays.
    """

    def __init__(
        self, load: Load, shard: Shard, expected: float | None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._plan = {
            "traffic": load.traffic,
            "arrivals": load.arrivals,
            "workers": shard.of,
            "warmup": load.warmup,
            "seconds": load.seconds,
            "tick": load.tick,
            "expected": expected,
        }
        self._worker, self._clock = shard.index, clock
        self._began = self._end = math.inf  # on the clock
        self._warmup_length, self._length = load.warmup, load.warmup + load.seconds
        self._taken = clock()
        self._cpu = time.process_time()
        self._clear()

    def _clear(self) -> None:
        self._steady: defaultdict[str, RouteCounters] = defaultdict(RouteCounters)
        self._warmup: defaultdict[str, RouteCounters] = defaultdict(RouteCounters)
        self._lag = Histogram()
        self._reconnects = 0

    def start(self, at: float | None = None) -> None:
        """The warm-up starts: `at` on the clock (now) is time 0."""
        self._began = self._clock() if at is None else at
        self._end = self._began + self._length
        self._taken = self._began
        self._cpu = time.process_time()

    def end(self, at: float | None = None) -> None:
        """Nothing is written from `at` on the clock (now) on: no later second belongs to the steady state."""
        self._end = min(self._end, self._clock() if at is None else at)

    def record_sent(self, route: str, warmup: bool, receipts: int = 1) -> None:
        """A message was written now that so many should receive."""
        tally = (self._warmup if warmup else self._steady)[route]
        tally.sent += 1
        tally.expected += receipts

    def expect(self, route: str, warmup: bool, receipts: int) -> None:
        """What was written now, and counted as sent on another route, should be received by so many on this one."""
        (self._warmup if warmup else self._steady)[route].expected += receipts

    def record_received(self, route: str, warmup: bool, delay_intended: int, delay_actual: int) -> None:
        """A message was received now, so many µs after it was due and after it was written."""
        tally = (self._warmup if warmup else self._steady)[route]
        tally.received += 1
        tally.intended.fresh.append(delay_intended)
        tally.actual.fresh.append(delay_actual)

    def record_lost(self, route: str, warmup: bool, count: int = 1) -> None:
        """Messages were never received."""
        (self._warmup if warmup else self._steady)[route].lost += count

    def record_bounced(self, route: str, warmup: bool, condition: str, count: int = 1) -> None:
        """A message was returned as an error, for so many receivers; `condition` is such as "remote-server-timeout"."""
        (self._warmup if warmup else self._steady)[route].bounced[condition] += count

    def record_duplicate(self, route: str, warmup: bool) -> None:
        """A message was received again."""
        (self._warmup if warmup else self._steady)[route].duplicates += 1

    def record_out_of_order(self, route: str, warmup: bool) -> None:
        """A message was received after a later one of the same two users."""
        (self._warmup if warmup else self._steady)[route].out_of_order += 1

    def add(self, routes: Mapping[str, RouteCounters], *, warmup: bool) -> None:
        """Add these counters."""
        for route, more in routes.items():
            (self._warmup if warmup else self._steady)[route].add(more)

    def reconnect(self) -> None:
        """A connection was lost, and the session has reconnected."""
        self._reconnects += 1

    def sort(self) -> None:
        """Sort the delays that were only appended; to be called from time to time while a load runs."""
        for tally in (*self._steady.values(), *self._warmup.values()):
            tally.intended.sort()
            tally.actual.sort()

    def lag(self, seconds: float) -> None:
        """The engine checked what is due so much later than planned."""
        self._lag.record(seconds)

    def take(self) -> dict[str, Any]:
        """What was counted since the last take, as JSON-able data for `lab.load.metrics.result.merge`. About 1 s
        apart."""
        now, cpu = self._clock(), time.process_time()
        began = min(self._began, now)  # not started: all at time 0
        sample = {
            "plan": self._plan,
            "worker": self._worker,
            "from": max(0.0, self._taken - began) if self._began < math.inf else 0.0,
            "to": now - began,
            "judged": self._judged(now),
            "cpu": cpu - self._cpu,
            "steady": {route: tally.sample() for route, tally in self._steady.items()},
            "warmup": {route: tally.sample() for route, tally in self._warmup.items()},
            "lag": self._lag.flatten(),
            "reconnects": self._reconnects,
        }
        self._taken, self._cpu = now, cpu
        self._clear()
        return sample

    def _judged(self, now: float) -> float:
        """Seconds of the steady state since the last take."""
        if self._began == math.inf:
            return 0.0
        return max(0.0, min(now, self._end) - max(self._taken, self._began + self._warmup_length))
