"""Histograms: three digits of every delay, and other tools read them."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UserError
from lab.load.metrics.histogram import HIGHEST, Histogram

#: What HdrHistogram's own Python library (0.10.8) writes for these values in µs; 1,000,000 twice.
VALUES = (0, 1, 2047, 2048, 2049, 5000, 1_000_000, 1_000_000, 59_999_999, 3_600_000_000)
ENCODED = "HISTFAAAADJ4nJNpmSzMwMAgxAABzFCaEURcm7yEwf4DRICJ6ac8E8tBYabfVSydcUzT45gA1iwJ6g=="

delays = st.floats(0, 3599, allow_nan=False)


def _of(values: list[float]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(st.lists(delays, min_size=1, max_size=200), st.sampled_from([0, 10, 50, 90, 99, 99.9, 100]))
def test_percentiles_are_exact_to_three_digits(values: list[float], percent: float) -> None:
    exact = sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
    found = _of(values).percentile(percent)
    # Values are cut to microseconds; a cell's upper end is never below what it holds.
    assert exact - 1e-6 <= found <= exact * (1 + 1 / 1024) + 1e-6


@pytest.mark.parametrize("total", [41_000, 82_000, 164_000])
def test_a_percentile_is_of_the_right_rank_though_99_9_is_no_binary_number(total: int) -> None:
    histogram = Histogram()
    histogram.counts[1000] = total * 999 // 1000
    histogram.counts[1_000_000 >> 9 << 9] = total // 1000
    assert histogram.total == total
    assert histogram.percentile(99.9) == pytest.approx(0.001)


def test_mean_and_maximum() -> None:
    drawn = random.Random(1)
    values = [drawn.lognormvariate(-5, 1) for _ in range(20_000)]
    histogram = _of(values)
    assert histogram.total == 20_000
    assert histogram.mean == pytest.approx(sum(values) / len(values), rel=0.001)
    assert histogram.max == pytest.approx(max(values), rel=0.001)
    assert (Histogram().mean, Histogram().max, Histogram().percentile(99)) == (0, 0, 0)


@given(st.lists(delays), st.lists(delays))
def test_adding_is_recording_all(left: list[float], right: list[float]) -> None:
    histogram = _of(left)
    histogram.add(_of(right))
    assert histogram == _of([*left, *right])


@given(st.lists(delays))
def test_round_trips(values: list[float]) -> None:
    histogram = _of(values)
    assert Histogram.decode(histogram.encode()) == histogram
    assert Histogram(histogram.flatten()) == histogram


def test_the_format_is_hdrhistograms() -> None:
    theirs = Histogram.decode(ENCODED)
    assert theirs == _of([value / 1e6 for value in VALUES])
    assert Histogram.decode(theirs.encode()) == theirs
    assert theirs.counts[1_000_000 // 512 * 512] == 2


def test_odd_delays_are_counted() -> None:
    histogram = _of([-1e-9, -5.0, 1e9])
    assert histogram.total == 3
    assert histogram.percentile(50) == 0
    assert histogram.max == pytest.approx(HIGHEST / 1e6, rel=0.001)


@pytest.mark.parametrize("text", ["", "x", "aGVsbG8=", ENCODED[:40]])
def test_what_is_no_histogram_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="histogram"):
        Histogram.decode(text)
