"""Durations and rates: what is written is what is meant, and what could mean two things is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.declarations.units import (
    DURATION_PATTERN,
    DURATION_UNITS,
    RATE_PATTERN,
    format_duration,
    format_rate,
    parse_duration,
    parse_rate,
)
from lab.errors import UserError


@pytest.mark.parametrize(
    ("text", "value"),
    [("40ms", 0.04), ("1.5s", 1.5), ("2min", 120.0), ("500us", 0.0005), ("0.1ms", 0.0001), (0, 0.0), ("0 s", 0.0)],
)
def test_durations(text: object, value: float) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64kbit/s", 8000),
        ("64kbit", 8000),
        ("1Mbit/s", 125_000),
        ("100KB/s", 100_000),
        ("2MiB/s", 2 * 2**20),
        ("512B/s", 512),
    ],
)
def test_rates(text: object, value: int) -> None:
    assert parse_rate(text) == value


def test_unlimited_is_no_rate() -> None:
    assert parse_rate("unlimited") is None


@pytest.mark.parametrize(
    "text", [40, 1.5, "40", "ms", "", "-3ms", "1h", "3 parsecs", True, None, "40ms/s", "1e3ms", [1]]
)
def test_no_durations(text: object) -> None:
    with pytest.raises(UserError):
        parse_duration(text)


@pytest.mark.parametrize("text", [100, "100kb/s", "1Mbps", "1mbit", "5", "", False, None, "-1KB/s", "3 parsecs/s"])
def test_no_rates(text: object) -> None:
    with pytest.raises(UserError):
        parse_rate(text)


@given(st.integers(min_value=0, max_value=10**9))
def test_a_duration_reads_back(microseconds: int) -> None:
    value = round(microseconds / 1e6, 9)
    assert parse_duration(format_duration(value) if value else 0) == pytest.approx(value, rel=1e-9, abs=1e-9)


@given(st.integers(min_value=1, max_value=10**6))
def test_a_rate_reads_back(rate: int) -> None:
    assert parse_rate(format_rate(rate)) == rate


@given(st.sampled_from(sorted(DURATION_UNITS)), st.integers(min_value=0, max_value=10**6))
def test_the_editors_pattern_takes_what_is_taken(unit: str, number: int) -> None:
    import re

    assert re.match(DURATION_PATTERN, f"{number}{unit}") and parse_duration(f"{number}{unit}") == pytest.approx(
        number * DURATION_UNITS[unit]
    )


@given(st.from_regex(RATE_PATTERN, fullmatch=True))
def test_the_editors_pattern_takes_nothing_else(text: str) -> None:
    parse_rate(text.strip())
