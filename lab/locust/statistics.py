"""Adds samples of the load's workers to Locust's statistics in batches: one entry for each route and kind.

A batch of deliveries is added as Locust adds a worker's report: an entry is filled and merged by `extend` into the
entry of its route and into the total. That costs as much for a thousand deliveries as for ten; firing `request` for
each would cost more than the delivery itself. Failures (bounces by condition, losses) are fired one by one, so that
listeners of `request` and Locust's table of failures have them.

Limits: listeners of `request` get no deliveries. Locust keeps delays in whole milliseconds, above 100 ms in two
digits; the load's own results keep three digits from the microsecond on. Both leave the warm-up out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from locust import stats as locust_stats
from locust.env import Environment
from locust.stats import RequestStats, StatsEntry

from lab.errors import LabError, PeerError
from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.histogram import BITS
from lab.load.workload.recipients import PRESENCE

MESSAGE = "message"
REQUEST = "request"  # an action that waits for an answer: a login, a page of the archive, ...

_MICROSECONDS = 1000.0  # in a millisecond


class DeliveryFailure(PeerError):
    """A message was not delivered. Locust's table of failures shows `label` and the text."""

    label: ClassVar[str]

    def __repr__(self) -> str:
        return f"{self.label}({str(self)!r})"


class MessageBounced(DeliveryFailure):
    """A message was answered with a stanza error; the text is its condition (RFC 6120 section 8.3.3)."""

    label = "Bounced"


class MessageLost(DeliveryFailure):
    """Neither the message nor an error was received."""

    label = "Lost"


class Statistics:
    """Locust's statistics of one load in one Locust process."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._steady_start = math.inf

    def begin(self, at: float) -> None:
        """The steady state begins at `at` (seconds of the epoch): Locust's rates count from there."""
        self._steady_start = at
        self._environment.stats.total.start_time = at

    def adjust_report(self, data: dict[str, Any]) -> None:
        """Change a Locust worker's report to its master: no entry begins before the steady state."""
        for one in (*data["stats"], data["stats_total"]):
            one["start_time"] = max(one["start_time"], self._steady_start)

    def add_sample(self, sample: Mapping[str, Any]) -> None:
        """Add one sample as `lab.load.metrics.sample_recorder` makes them."""
        # What was received during the drain was sent in the steady state: its rate must not be spread over the drain.
        now = min(time.time(), self._steady_start + sample["plan"]["seconds"])
        for route, data in sample["steady"].items():
            tally = RouteCounters.from_json(data)
            if tally.received:
                self._merge(route, tally, now)
            for condition, count in tally.bounced.items():
                self.add_failures(route, MessageBounced(condition), count)
            self.add_failures(route, MessageLost("never received"), tally.lost)

    def add_failures(self, route: str, error: PeerError, count: int = 1) -> None:
        """Fire Locust's `request` event with that error, `count` times."""
        for _ in range(count):
            fire_failure(self._environment, route, error)

    def _merge(self, route: str, tally: RouteCounters, now: float) -> None:
        stats = self._environment.stats
        batch = build_stats_entry(stats, route, tally, now)
        stats.get(route, batch.method).extend(batch)
        stats.total.extend(batch)


def fire_failure(environment: Environment, route: str, error: LabError) -> None:
    """Fire Locust's `request` event for a failure, without a response time."""
    environment.events.request.fire(
        request_type=get_request_type(route),
        name=route,
        response_time=None,
        response_length=0,
        exception=error,
        context={},
    )


def get_request_type(route: str) -> str:
    """Locust's type of a route: "message", "presence" for presences that contacts receive, "request" for all others."""
    if route.startswith(PRESENCE):
        return PRESENCE.strip()
    return MESSAGE if route in ("local", "room") or "->" in route else REQUEST


def build_stats_entry(stats: RequestStats, route: str, tally: RouteCounters, now: float) -> StatsEntry:
    """Deliveries of one route as Locust counts them: as if each had been logged at `now` (seconds of the epoch)."""
    batch = StatsEntry(stats, route, get_request_type(route))
    counts = tally.intended.counts
    batch.start_time = stats.total.start_time
    batch.num_requests = tally.received
    batch.last_request_timestamp = now
    batch.num_reqs_per_sec[int(now)] = tally.received
    total = 0.0
    for value, count in counts.items():
        delay = (value + _half_cell(value)) / _MICROSECONDS
        total += delay * count
        batch.response_times[locust_stats.bucket_response_time(delay)] += count
    # Locust declares whole numbers and stores what it is given: other users of Locust pass fractions, too.
    batch.total_response_time = total  # type: ignore[assignment]
    batch.min_response_time = min(counts) / _MICROSECONDS  # type: ignore[assignment]
    batch.max_response_time = tally.intended.max * 1000.0  # type: ignore[assignment]
    return batch


def _half_cell(value: int) -> float:
    """Half the width of a histogram's cell in µs: `value` is the cell's lowest value, this leads to its middle."""
    return ((1 << max(0, value.bit_length() - BITS)) - 1) / 2
