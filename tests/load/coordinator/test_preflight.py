"""What is asked of a load: tests by name, rates, bounds, and what cannot be, with what would work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.load.analysis import thresholds as bounds
from lab.load.coordinator import preflight
from lab.load.workload import machine_limits
from lab.topology.spec import Link, Server, Topology
from tests.load.synthetic_results import result

PAIR = Topology("pair", "", tuple(Server(n, f"{n}.test", "prosody", "13.0") for n in "ab"), (Link("a", "b"),))


def test_a_load_test_is_found_by_name_path_or_as_a_traffic(tmp_path: Path) -> None:
    assert preflight.find_test("federation").file is not None
    assert preflight.find_test("neighbours") == preflight.LoadTest("neighbours")
    assert preflight.find_test("6*local+1*logins").file is None
    mine = tmp_path / "mine.py"
    mine.touch()
    assert preflight.find_test(str(mine)) == preflight.LoadTest("mine", mine)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("federatoin", "did you mean 'federation'"),
        ("neighbors", "did you mean 'neighbours'"),
        ("zzz", "there are: .*federation"),
        ("social:degre=3", "the option degree"),
        ("nowhere.py", "no such file"),
    ],
)
def test_what_there_is_not_is_refused_with_the_nearest(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        preflight.find_test(text)


def test_a_rate_and_its_model_become_one_text() -> None:
    assert preflight.format_arrivals(None, None) is None
    assert preflight.format_arrivals("100/s", None) == "constant:100/s"
    assert preflight.format_arrivals("100/s", "poisson") == "poisson:100/s"
    assert preflight.format_arrivals(None, "closed:think=1s") == "closed:think=1s"
    for rate, model in (("0/s", None), ("100", None), (None, "poisson"), ("1/s", "ramp:1/s..2/s,over=1s")):
        with pytest.raises(UserError):
            preflight.format_arrivals(rate, model)


def test_what_the_machine_cannot_do_is_said_with_the_number_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"users": 4, "seconds": 1.0, "warmup": 0.0, "arrivals": "constant:40001/s"}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(2))
    with pytest.raises(UserError, match="this machine's 2 cores write at most 40000/s"):
        preflight.check_load(PAIR, asked, 3)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    with pytest.raises(UserError, match=r"take --workers 3 .* or at most 40000/s"):
        preflight.check_load(PAIR, asked, 2)
    preflight.check_load(PAIR, asked, 3)
    with pytest.raises(UserError, match="at most 4 workers"):
        preflight.check_load(PAIR, asked, 5)
    with pytest.raises(UserError, match=f"use at most {2 * machine_limits.count_available_ports()} users"):
        preflight.check_load(PAIR, {**asked, "users": 4 * machine_limits.count_available_ports()}, 3)


def test_bounds_are_read_and_kept_or_not() -> None:
    assert bounds.parse_bounds("p99=200ms, loss=0.1%,duplicates=0") == {"p99": 0.2, "loss": 0.001, "duplicates": 0.0}
    assert bounds.find_exceeded_bounds(result(100, 0.05), bounds.parse_bounds(f"{bounds.DEFAULT},p99=200ms")) == []
    (late,) = bounds.find_exceeded_bounds(result(100, 0.3), bounds.parse_bounds("p99=200ms,p50=200ms"))
    assert late.startswith("p99 was 300") and late.endswith("the bound is 200 ms")
    (lost,) = bounds.find_exceeded_bounds(
        result(100, 0.05, lost=4), bounds.parse_bounds("loss=0.5%,bounced=0,failed=1%")
    )
    assert lost == "loss was 0.9901%, the bound is 0.5000%"


@pytest.mark.parametrize("text", ["", "p99", "p99=5", "loss=1", "loss=2%x", "speed=3", "p99=1s,p99=2s"])
def test_bounds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        bounds.parse_bounds(text)


def test_users_with_nobody_to_write_to_are_refused_with_a_number_that_works() -> None:
    with pytest.raises(UserError, match=r"nobody has anybody to write to.*; --users 2 would do"):
        preflight.check_load(PAIR, {"users": 1, "traffic": "neighbours"}, 1)
    with pytest.raises(UserError, match=r"--users 3 would do"):
        preflight.check_load(PAIR, {"users": 2, "traffic": "local"}, 1)
    preflight.check_load(PAIR, {"users": 1}, 1)  # a Locust file says itself what its people do
