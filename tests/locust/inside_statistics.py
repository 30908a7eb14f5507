"""Batches in Locust's statistics are what single deliveries would have been. Runs inside, see test_inside.py."""

from __future__ import annotations

import random
import time

import pytest
from locust.env import Environment
from locust.stats import RequestStats

from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.histogram import Histogram
from lab.locust.statistics import Statistics, build_stats_entry, get_request_type

DELAYS = [random.Random(7).lognormvariate(-4, 1.5) for _ in range(5000)]


def tally(delays: list[float], **counts: int) -> RouteCounters:
    found = RouteCounters()
    found.sent = found.received = len(delays)
    for delay in delays:
        found.intended.record(delay)
        found.actual.record(delay)
    for name, count in counts.items():
        setattr(found, name, count)
    return found


def sample(steady: dict[str, RouteCounters], warmup: dict[str, RouteCounters] | None = None, at: float = 7.0) -> dict:
    return {
        "plan": {"seconds": 20.0},
        "from": at - 1,
        "to": at,
        "steady": {name: one.sample() for name, one in steady.items()},
        "warmup": {name: one.sample() for name, one in (warmup or {}).items()},
    }


@pytest.fixture
def environment() -> Environment:
    made = Environment()
    made.create_local_runner()  # what counts fired requests
    return made


def test_percentiles_are_those_of_single_deliveries() -> None:
    one_by_one = RequestStats()
    for delay in DELAYS:
        one_by_one.log_request("message", "a->b", 1000 * delay, 0)
    stats = RequestStats()
    for part in (DELAYS[:2000], DELAYS[2000:2001], DELAYS[2001:]):
        batch = build_stats_entry(stats, "a->b", tally(part), now=1000.0)
        stats.get("a->b", "message").extend(batch)
        stats.total.extend(batch)
    mine, theirs = stats.get("a->b", "message"), one_by_one.get("a->b", "message")
    assert mine.num_requests == theirs.num_requests == stats.total.num_requests == 5000
    for percent in (0.5, 0.9, 0.99, 0.999, 1.0):
        # A histogram's cell may lie on the other side of one of Locust's steps: a step is at most 5 % or 1 ms.
        expected = theirs.get_response_time_percentile(percent)
        assert mine.get_response_time_percentile(percent) == pytest.approx(expected, rel=0.05, abs=1), percent
    assert mine.avg_response_time == pytest.approx(theirs.avg_response_time, rel=0.001)
    assert mine.min_response_time == pytest.approx(theirs.min_response_time, rel=0.001)
    assert mine.max_response_time == pytest.approx(theirs.max_response_time, rel=0.001)


def test_routes_add_up_to_the_total_and_the_warmup_stays_out(environment: Environment) -> None:
    statistics = Statistics(environment)
    statistics.add_sample(sample({}, {"a->b": tally([0.1] * 50)}, at=2.0))
    assert environment.stats.total.num_requests == 0
    statistics.add_sample(sample({"a->b": tally([0.002] * 30), "room": tally([0.004] * 5)}, {"a->b": tally([0.1])}))
    statistics.add_sample(sample({"a->b": tally([0.006] * 10), "login": tally([0.05])}, at=8.0))
    counts = {(e.method, e.name): e.num_requests for e in environment.stats.entries.values()}
    assert counts == {("message", "a->b"): 40, ("message", "room"): 5, ("request", "login"): 1}
    assert environment.stats.total.num_requests == 46
    assert environment.stats.total.get_response_time_percentile(0.5) == 2


def test_failures_are_fired_one_by_one(environment: Environment) -> None:
    heard: list[tuple[str, str]] = []

    @environment.events.request.add_listener
    def hear(name: str, exception: Exception, **_: object) -> None:
        heard.append((name, str(exception)))

    bad = tally([0.001] * 3, lost=2)
    bad.bounced["remote-server-timeout"] += 3
    Statistics(environment).add_sample(sample({"a->b": bad}))
    assert sorted(heard) == [("a->b", "never received")] * 2 + [("a->b", "remote-server-timeout")] * 3
    route = environment.stats.get("a->b", "message")
    assert (route.num_requests, route.num_failures) == (8, 5)
    assert sorted(error.occurrences for error in environment.stats.errors.values()) == [2, 3]
    assert route.get_response_time_percentile(1.0) == 1, "a failure has no delay"


def test_a_delay_of_nothing_is_no_error() -> None:
    assert build_stats_entry(RequestStats(), "local", tally([0.0]), now=1.0).min_response_time == 0
    assert Histogram().total == 0


def test_rates_count_from_the_steady_state_on(environment: Environment) -> None:
    statistics, stats = Statistics(environment), environment.stats
    early = {"stats": [], "stats_total": stats.total.get_stripped_report()}
    statistics.adjust_report(early)
    begun = time.time() - 10
    statistics.begin(begun)
    statistics.add_sample(sample({"a->b": tally([0.001] * 100)}))
    assert stats.total.start_time == stats.get("a->b", "message").start_time == begun
    assert stats.total.total_rps == pytest.approx(10, rel=0.05)
    late = {"stats": stats.serialize_stats(), "stats_total": stats.total.get_stripped_report()}
    late["stats_total"]["start_time"] -= 5  # cleared at Locust's last report, which was before the start
    statistics.adjust_report(late)
    assert min(one["start_time"] for one in (early["stats_total"], late["stats_total"], *late["stats"])) == begun


@pytest.mark.parametrize("route", ["local", "a->b", "room"])
def test_messages(route: str) -> None:
    assert get_request_type(route) == "message"


def test_requests() -> None:
    assert get_request_type("login") == "request"
