"""The timing of a shaper, without any clock but the one the test tells it."""

from __future__ import annotations

from itertools import pairwise
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.declarations.links import Conditions
from lab.network.link_shaper import LARGEST_QUEUE, SMALLEST_PIECE, SMALLEST_QUEUE, LinkShaper


def test_latency_is_added_to_each_byte() -> None:
    shaper = LinkShaper(Conditions(latency=0.05))
    assert shaper.arrival(10.0, 1, 0.0) == pytest.approx(10.05)
    assert shaper.arrival(10.0, 10**6, 0.0) == pytest.approx(10.05)


def test_rate_is_shared_by_all_streams_and_latency_comes_on_top() -> None:
    shaper = LinkShaper(Conditions(latency=0.1, rate=1000))
    first = shaper.arrival(0.0, 500, after=0.0)
    other_stream = shaper.arrival(0.0, 500, after=0.0)
    assert (first, other_stream) == (pytest.approx(0.6), pytest.approx(1.1))


def test_an_idle_wire_saves_nothing_up() -> None:
    shaper = LinkShaper(Conditions(rate=1000))
    shaper.arrival(0.0, 1000, 0.0)
    assert shaper.arrival(100.0, 1000, 0.0) == pytest.approx(101.0)


def test_jitter_spreads_around_the_latency() -> None:
    shaper = LinkShaper(Conditions(latency=1.0, jitter=0.1))
    delays = [shaper.arrival(0.0, 1, 0.0) for _ in range(2000)]
    assert mean(delays) == pytest.approx(1.0, abs=0.01)
    assert stdev(delays) == pytest.approx(0.1, rel=0.1)


def test_jitter_is_the_same_in_every_run_and_differs_by_wire() -> None:
    conditions = Conditions(latency=1.0, jitter=0.1)
    one, same, other = LinkShaper(conditions, "a b"), LinkShaper(conditions, "a b"), LinkShaper(conditions, "b a")
    first, again, elsewhere = ([shaper.arrival(0.0, 1, 0.0) for _ in range(5)] for shaper in (one, same, other))
    assert first == again != elsewhere


@given(
    latency=st.floats(0, 2),
    jitter=st.floats(0, 2),
    rate=st.none() | st.integers(1, 10**7),
    sizes=st.lists(st.integers(1, 10**5), min_size=2, max_size=50),
)
def test_a_stream_keeps_its_order_and_nothing_is_early(
    latency: float, jitter: float, rate: int | None, sizes: list[int]
) -> None:
    shaper = LinkShaper(Conditions(latency=latency, jitter=jitter, rate=rate))
    arrivals, last = [], 0.0
    for number, size in enumerate(sizes):
        last = shaper.arrival(number * 0.01, size, last)
        arrivals.append(last)
    assert all(a <= b for a, b in pairwise(arrivals))
    assert all(arrival >= number * 0.01 for number, arrival in enumerate(arrivals))


@given(rate=st.none() | st.integers(1, 10**8), data=st.binary(max_size=5000))
def test_pieces_are_the_whole(rate: int | None, data: bytes) -> None:
    pieces = list(LinkShaper(Conditions(rate=rate)).pieces(data))
    assert b"".join(pieces) == data
    if rate is None:
        assert len(pieces) == 1
    else:
        assert all(len(piece) <= max(SMALLEST_PIECE, rate // 100) for piece in pieces)


def test_the_queue_is_bounded_by_time_and_size() -> None:
    assert LinkShaper(Conditions()).queue == LARGEST_QUEUE
    assert LinkShaper(Conditions(rate=100)).queue == SMALLEST_QUEUE
    assert LinkShaper(Conditions(rate=10**9)).queue == LARGEST_QUEUE
    assert LinkShaper(Conditions(latency=0.5, rate=100_000)).queue == 100_000
