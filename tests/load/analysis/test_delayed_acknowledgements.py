"""Delays as Nagle's algorithm and delayed acknowledgements make them are named, and others are not."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.load.analysis.delayed_acknowledgements import find_delayed_links
from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.result import Result
from lab.load.metrics.run_folder import LoadOutcome, RunWriter, read
from lab.load.model.job import Job
from lab.load.report.text import render
from tests.load.synthetic_results import result

DELAYED_SHARE, WAIT = 0.3, 0.040


def waits(rng: random.Random) -> float:
    """A delivery takes 2 to 5 ms; what follows another message closely waits for the rest of 40 ms."""
    return rng.uniform(0.002, 0.005) + (WAIT * rng.uniform(0.5, 1.0) if rng.random() < DELAYED_SHARE else 0.0)


def swings(rng: random.Random) -> float:
    """A busy machine: a long tail without an edge."""
    return rng.expovariate(1 / 0.030)


def latent(rng: random.Random) -> float:
    """A link with a latency of 35 ms."""
    return 0.035 + rng.uniform(0.002, 0.005)


def carried(draw: Callable[[random.Random], float], route: str = "a->b", messages: int = 2000) -> Result:
    rng, tally = random.Random(7), RouteCounters()
    for _ in range(messages):
        tally.actual.record(draw(rng))
    found = result(100, 0.005)
    found.routes = {"local": found.routes["a->b"], route: tally}
    return found


def test_waiting_for_an_acknowledgement_is_named_with_its_link() -> None:
    assert find_delayed_links(carried(waits)) == ["a->b"]
    assert find_delayed_links(carried(waits, "presence b->a")) == ["presence b->a"]


@pytest.mark.parametrize("draw", [swings, latent, lambda rng: 0.003 + 0.01 * rng.random()])
def test_other_delays_are_not(draw: Callable[[random.Random], float]) -> None:
    assert find_delayed_links(carried(draw)) == []


def test_neither_are_few_messages_nor_those_within_a_server() -> None:
    assert find_delayed_links(carried(waits, messages=100)) == []
    assert find_delayed_links(carried(waits, "local")) == []


def test_the_report_says_it(tmp_path: Path) -> None:
    with RunWriter(Job("lab", {}, folder=tmp_path)) as writer:
        writer.finish(LoadOutcome(carried(waits), settled=True))
    assert "On a->b half of the messages are fast, and p95 is near 40 ms" in " ".join(render(read(tmp_path)).split())
