"""A search on a lab: what is known before it begins, and what was busy around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.declarations.links import Conditions
from lab.errors import UserError
from lab.load.capacity.search import Bounds, Trial, build_partial_limit
from lab.load.capacity.trials import OtherUsage, check, compute_capacities, find_limit_on
from lab.load.report.limit import render, to_json
from lab.plan.model import RelayPlan
from lab.topology.spec import Link, Server, Topology
from tests.load.synthetic_results import result


def _plan(*conditions: Conditions) -> SimpleNamespace:
    """Of a pair with a link, relayed if there are conditions."""
    servers = tuple(Server(name, f"{name}.lab", "prosody", "13.0") for name in "ab")
    relays = [
        RelayPlan(source, target, 20000, ("127.0.0.1", 5269), one)
        for (source, target), one in zip((("a", "b"), ("b", "a")), conditions, strict=False)
    ]
    return SimpleNamespace(topology=Topology("t", "", servers, (Link("a", "b"),)), relays=relays)


def test_links_with_conditions_are_known() -> None:
    found = compute_capacities(_plan(Conditions(rate=20_000), Conditions(latency=0.2)), 1)
    assert (found.links, found.delays, found.pinned_cores) == ({"a->b": 20_000}, {"b->a": 0.2}, 1)
    assert found.cores >= 1


def test_a_p99_below_the_links_latency_is_refused_with_one_that_works() -> None:
    slow, plain = (
        replace(_plan().topology, links=(Link("a", "b", *conditions),))
        for conditions in ((Conditions(latency=0.15), Conditions(latency=0.2)), ())
    )
    with pytest.raises(UserError, match=r"latency of links alone is up to 200ms; ask for p99=400ms"):
        check(slow, Bounds(p99=0.1), "neighbours")
    check(slow, Bounds(p99=0.4), "neighbours")
    check(slow, Bounds(p99=0.1), "local")  # nothing goes over a link
    check(plain, Bounds(p99=0.001), "neighbours")


async def test_a_start_beyond_the_generator_is_refused_with_one_that_works(tmp_path: Path) -> None:
    lab = SimpleNamespace(name="x", plan=_plan())
    with pytest.raises(UserError, match=r"2 workers can write 40000/s; start at 20000/s or lower, or take 3 work"):
        await find_limit_on(lab, {}, Bounds(start=50_000), folder=tmp_path, workers=2)
    with pytest.raises(UserError, match="chooses the rate"):
        await find_limit_on(lab, {"arrivals": "100/s"}, Bounds(), folder=tmp_path)


def test_what_was_busy_around_counts_in_the_steady_state_only() -> None:
    around = OtherUsage()
    around.take({"event": "started", "warmup": 2.0, "seconds": 2.0})
    for at, spent in ((0.0, 0.0), (2.0, 4.0), (3.0, 5.5), (4.0, 7.0), (5.0, 100.0)):
        around.take({"event": "usage", "around": {"machine": [at, spent, 0, None]}})
    around.take({"event": "sample"})
    assert around.cores() == {"machine": 1.5}


def test_what_a_search_found_is_told_in_short_and_kept_whole(tmp_path: Path) -> None:
    slow = Trial(200, ("p99 was 771.1 ms, at most 200 ms are asked for",), True, result(200, 0.771))
    late = Trial(
        150,
        ("the generator was 24.1 ms late in 1 % of its ticks of 5 ms, and delays hold that",),
        False,
        result(150, 0.1),
    )
    behind = Trial(120, (), False, result(120, 0.1), backlog="after 60 s of waiting a message over a->b took 3 s")
    limit = build_partial_limit([slow, late, behind], "backlog", "3 runs at 150/s began with a backlog")
    lines = render(limit).splitlines()
    assert lines[1].endswith("  p99 was 771.1 ms")
    assert lines[2].endswith("the generator was 24.1 ms late in 1 % of its ticks of 5 ms")
    assert lines[3].endswith("it started with a backlog")
    found = "The highest rate within the bounds is 120/s, until the search ended early. Bottleneck: backlog: 3 runs"
    assert found in lines[5]
    (_, second, third) = to_json(limit)["trials"]
    assert second["misses"] == list(late.misses)
    assert third["backlog"] == behind.backlog
