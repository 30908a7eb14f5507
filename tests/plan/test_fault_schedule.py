"""When declared faults act and on what: the same seed gives the same decisions, and each time is as declared."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from lab.plan.fault_schedule import Decision, Phase, decisions
from lab.topology.fault_targets import directions, find_targets
from lab.topology.faults import read_one, to_json
from lab.topology.files import load
from lab.topology.spec import FaultSpec, Topology

RING = load("ring:6,software=prosody+ejabberd")


def spec(**fields: Any) -> FaultSpec:
    return read_one(fields)


def first(count: int, *specs: FaultSpec, topology: Topology = RING) -> list[Decision]:
    return list(islice(decisions(specs, topology), count))


def killer(seed: int, name: str = "killer") -> FaultSpec:
    return spec(name=name, action="kill", mode="one", every="30s", restart="5s", seed=seed)


def test_the_same_seed_gives_the_same_decisions() -> None:
    assert first(40, killer(1)) == first(40, killer(1))
    assert first(40, killer(1)) != first(40, killer(2))
    drawn = {decision.targets for decision in first(40, killer(1))}
    assert len(drawn) > 1 and all(len(targets) == 1 for targets in drawn)


def test_another_fault_changes_no_decision_of_the_first() -> None:
    alone = first(40, killer(1))
    beside = [one for one in first(80, killer(1), killer(5, "other")) if one.fault == "killer"]
    assert beside == alone


def test_times_are_merged_in_order() -> None:
    storm = spec(name="storm", action="partition", groups=[["s1"]], at="5s", duration="20s")
    late = spec(name="late", action="conditions", latency="80ms", at="10s")
    once = spec(name="once", action="restart", selector={"server": "s2"}, at="7s")
    found = [(one.at, str(one.phase), one.fault) for one in decisions([storm, late, once], RING)]
    assert found == [
        (5.0, "apply", "storm"), (7.0, "apply", "once"), (10.0, "apply", "late"), (25.0, "heal", "storm"),
    ]  # fmt: skip


def test_a_flap_ends_with_its_duration() -> None:
    flap = spec(name="f", action="flap", down="2s", up="3s", at="1s", duration="11s")
    found = [(one.at, str(one.phase), one.occurrence) for one in decisions([flap], RING)]
    assert found == [
        (1.0, "apply", 1), (3.0, "heal", 1), (6.0, "apply", 2), (8.0, "heal", 2), (11.0, "apply", 3), (12.0, "heal", 3),
    ]  # fmt: skip
    assert len(first(100, spec(name="f", action="flap", down="2s", up="3s"))) == 100


@pytest.mark.parametrize(("selector", "found"), [
    ({}, ["s1", "s2", "s3", "s4", "s5", "s6"]),
    ({"server": "s4"}, ["s4"]),
    ({"software": "ejabberd"}, ["s2", "s4", "s6"]),
    ({"software": "ejabberd", "group": ["s1", "s2"]}, ["s2"]),
])  # fmt: skip
def test_selectors_find_servers(selector: dict[str, Any], found: list[str]) -> None:
    assert find_targets(spec(action="stop", selector=selector), RING) == [(name,) for name in found]


@pytest.mark.parametrize(("selector", "direction", "found"), [
    ({"link": ["s2", "s1"]}, "to", [("s2", "s1")]),
    ({"link": ["s2", "s1"]}, "from", [("s1", "s2")]),
    ({"server": "s2"}, "to", [("s2", "s1"), ("s2", "s3")]),
    ({"group": ["s1", "s2"]}, "to", [("s2", "s3"), ("s1", "s6")]),
    ({"server": "s1", "software": "ejabberd"}, "both", [("s1", "s2"), ("s2", "s1"), ("s1", "s6"), ("s6", "s1")]),
])  # fmt: skip
def test_selectors_find_links(selector: dict[str, Any], direction: str, found: list[tuple[str, str]]) -> None:
    one = spec(action="conditions", latency="1s", selector=selector, direction=direction)
    assert sorted(directions(one, find_targets(one, RING))) == sorted(found)


@pytest.mark.parametrize(("mode", "counts"), [
    ({"mode": "one"}, {1}),
    ({"mode": "fixed", "value": 2}, {2}),
    ({"mode": "fixed", "value": 20}, {6}),
    ({"mode": "fixed-percent", "value": 50}, {3}),
    ({"mode": "random-max-percent", "value": 50}, {1, 2, 3}),
])  # fmt: skip
def test_modes_draw_so_many(mode: dict[str, Any], counts: set[int]) -> None:
    one = spec(action="stop", every="2s", duration="1s", **mode)
    assert {len(decision.targets) for decision in first(200, one)} == counts


def test_a_fault_that_is_written_and_read_again_decides_the_same() -> None:
    for one in (
        killer(3),
        spec(name="g", action="partition", groups=[["s1"], ["s2"]], how="reset", at="1.5s", duration="10ms"),
        spec(name="h", action="conditions", delay="80ms", selector={"server": "s2"}, mode="fixed", value=1),
    ):
        assert read_one(to_json(one)) == one
        assert first(10, read_one(to_json(one))) == first(10, one)
    assert {one.phase for one in first(10, killer(3))} == {Phase.APPLY, Phase.HEAL}
