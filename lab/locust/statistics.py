"""Samples of the load's workers into Locust's statistics, in batches: one entry per route and kind.

A batch of deliveries is added as Locust adds a worker's report: an entry is filled and merged by `extend` into the
entry of its route and into the total. That costs as much for a thousand deliveries as for ten, where firing `request`
for each would cost more than the delivery itself. What failed (bounces by condition, loss) is fired one by one, so that
listeners and Locust's table of failures have it.

Limits: deliveries reach no listener of `request`. Locust keeps delays in whole milliseconds, above 100 ms in two
digits; the load's own results keep three digits from the microsecond on. The warm-up is left out, as in these.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from locust import stats as locust_stats
from locust.env import Environment
from locust.stats import RequestStats, StatsEntry

from lab.errors import LabError, PeerError
from lab.load.metrics.counters import Tally
from lab.load.metrics.histogram import BITS
from lab.load.workload.recipients import PRESENCE

MESSAGE = "message"
REQUEST = "request"  # what waits for an answer: a login, a page of the archive, ...

_MICROSECONDS = 1000.0  # of a millisecond


class Bounced(PeerError):
    """A message came back as an error; the text is its condition (RFC 6120 section 8.3.3)."""


class Lost(PeerError):
    """A message never came, and nothing came back."""


class Statistics:
    """Of one Locust process, for one load. `take` adds samples."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._begun = math.inf

    def begin(self, at: float) -> None:
        """The steady state begins at `at` (seconds of the epoch): Locust's rates count from there."""
        self._begun = at
        self._environment.stats.total.start_time = at

    def report(self, data: dict[str, Any]) -> None:
        """A Locust worker's report to its master, in which nothing begins before the steady state does."""
        for one in (*data["stats"], data["stats_total"]):
            one["start_time"] = max(one["start_time"], self._begun)

    def take(self, sample: Mapping[str, Any]) -> None:
        """Add one sample of `lab.load.worker.recorder.Recorder.take`."""
        # What came while the load drained was sent in the steady state: its rate must not be spread over the drain.
        now = min(time.time(), self._begun + sample["plan"]["seconds"])
        for route, data in sample["steady"].items():
            tally = Tally.from_json(data)
            if tally.received:
                self._merge(route, tally, now)
            for condition, count in tally.bounced.items():
                self.failed(route, Bounced(condition), count)
            self.failed(route, Lost("never came"), tally.lost)

    def failed(self, route: str, error: PeerError, count: int = 1) -> None:
        """Fire that many failures."""
        for _ in range(count):
            failed(self._environment, route, error)

    def _merge(self, route: str, tally: Tally, now: float) -> None:
        stats = self._environment.stats
        batch = entry(stats, route, tally, now)
        stats.get(route, batch.method).extend(batch)
        stats.total.extend(batch)


def failed(environment: Environment, route: str, error: LabError) -> None:
    """Fire a failure: there is no delay to it."""
    environment.events.request.fire(
        request_type=kind(route), name=route, response_time=None, response_length=0, exception=error, context={}
    )


def kind(route: str) -> str:
    """In Locust's column of methods: "message", "presence" for what contacts are shown, "request" for all else."""
    if route.startswith(PRESENCE):
        return PRESENCE.strip()
    return MESSAGE if route in ("local", "room") or "->" in route else REQUEST


def entry(stats: RequestStats, route: str, tally: Tally, now: float) -> StatsEntry:
    """Deliveries of one route as Locust counts them: as if each had been logged at `now`."""
    batch = StatsEntry(stats, route, kind(route))
    counts = tally.intended.counts
    batch.start_time = stats.total.start_time
    batch.num_requests = tally.received
    batch.last_request_timestamp = now
    batch.num_reqs_per_sec[int(now)] = tally.received
    total = 0.0
    for value, count in counts.items():
        delay = (value + _half(value)) / _MICROSECONDS
        total += delay * count
        batch.response_times[locust_stats.bucket_response_time(delay)] += count
    # Locust declares whole numbers and logs what it is given: others give it fractions, too.
    batch.total_response_time = total  # type: ignore[assignment]
    batch.min_response_time = min(counts) / _MICROSECONDS  # type: ignore[assignment]
    batch.max_response_time = tally.intended.max * 1000.0  # type: ignore[assignment]
    return batch


def _half(value: int) -> float:
    """From the lowest value of a histogram's cell to its middle, in µs."""
    return ((1 << max(0, value.bit_length() - BITS)) - 1) / 2
