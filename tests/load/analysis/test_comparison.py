"""Two loads side by side: what is noise, what is not, and which two cannot be compared."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.cli.app import app
from lab.cli.entry_point import run
from lab.errors import UserError
from lab.load.analysis import bootstrap
from lab.load.analysis.change_limits import judge_changes, parse_limits
from lab.load.analysis.comparison import Comparison, compare, list_changes
from lab.load.coordinator.provisioning import adapt_topology
from lab.load.metrics.counters import RouteCounters, sum_counters
from lab.load.metrics.result import Result, Second, Usage
from lab.load.metrics.run_folder import LoadOutcome, LoadRecord, RunWriter, read
from lab.load.model.job import Job
from lab.plan import files
from lab.plan.build import build
from lab.plan.model import Plan, RuntimeFacts
from lab.topology.files import load as topology
from lab.topology.spec import Custom

LOAD = {"users": 10, "traffic": "neighbours", "arrivals": "constant:50/s", "seconds": 20.0, "warmup": 0.0}


def noisy(seed: int, times: float = 1.0, *, seconds: int = 20, cpu: float = 0.1) -> Result:
    """50 messages a second, delays around 10 ms that swing from second to second, all of them `times` as long."""
    drawn, each, used, readings = random.Random(f"noisy/{seed}"), {}, 0.0, [Usage(0.0, 0.0, 1)]
    for number in range(seconds):
        tally, swing = RouteCounters(), drawn.lognormvariate(0, 0.2)
        tally.sent = tally.expected = tally.received = 50
        for _ in range(50):
            tally.intended.record(0.010 * times * swing * drawn.lognormvariate(0, 0.4))
        each[number] = Second(1.0, 1.0, tally, cpu={"worker 0": 0.1 * drawn.uniform(0.9, 1.1)})
        used += cpu * times * drawn.uniform(0.8, 1.2)
        readings.append(Usage(number + 1.0, used, 1))
    plan = {"workers": 1, "warmup": 0.0, "seconds": float(seconds), "tick": 0.005, "expected": 50.0 * seconds}
    return Result(plan, {"a->b": sum_counters(one.tally for one in each.values())}, {}, each, {"a": readings}, {})


def by_name(first: Result, second: Result) -> dict[str, dict[str, Any]]:
    return {row["figure"]: row for row in list_changes(first, second)}


def test_what_only_varies_is_mostly_told_to_be_noise() -> None:
    """Of a hundred pairs alike about five lie outside of a 95 % interval."""
    told = [bootstrap.compute_change_intervals(noisy(2 * n), noisy(2 * n + 1)) for n in range(12)]
    for name in ("p50 ms", "p99 ms", "a: CPU s per 1000"):
        beyond = sum(not low <= 0 <= high for low, high in (one[name] for one in told))
        assert beyond <= 3, (name, beyond)


def test_what_has_changed_is_beyond_noise() -> None:
    found = by_name(noisy(1), noisy(2, times=1.6))
    for name in ("p50 ms", "p95 ms", "a: CPU s per 1000"):
        assert found[name]["beyond_noise"] is True, found[name]
        assert found[name]["low_percent"] <= 60 <= found[name]["high_percent"], found[name]
    assert found["worker 0: CPU s per 1000"]["beyond_noise"] is False
    assert found["received per s"]["change_percent"] == 0
    assert found["lost %"]["beyond_noise"] is None


def test_of_a_few_seconds_nothing_is_known_of_noise() -> None:
    assert bootstrap.compute_change_intervals(noisy(1, seconds=bootstrap.MIN_SECONDS - 1), noisy(2)) == {}
    assert by_name(noisy(1, seconds=4), noisy(2))["p50 ms"]["beyond_noise"] is None


def test_a_long_load_has_longer_pieces() -> None:
    several = bootstrap.split_segments(noisy(1, seconds=3 * bootstrap.MAX_SEGMENTS))
    assert len(several) == bootstrap.MAX_SEGMENTS
    assert {segment.length for segment in several} == {3.0}
    assert sum(segment.received for segment in several) == 3 * bootstrap.MAX_SEGMENTS * 50
    # The first and last seconds' readings are there, so that nothing a server used is left out.
    whole = noisy(1, seconds=3 * bootstrap.MAX_SEGMENTS).usage["a"][-1].cpu
    assert sum(segment.cpu["a"] for segment in several) == pytest.approx(whole)


def plan(shape: str = "pair", runtime: str = "processes") -> Plan:
    facts = RuntimeFacts(runtime, "127.91.0.0/16", "/lab")
    return build(adapt_topology(topology(shape)), facts)


def kept(folder: Path, job: Job | None = None, result: Result | None = None, **outcome: Any) -> LoadRecord:
    folder.mkdir(parents=True)
    job = replace(job or Job("lab", LOAD, name="neighbours"), folder=folder)
    with RunWriter(job) as writer:
        writer.finish(LoadOutcome(result or noisy(1), settled=True, **outcome))
    (folder / "plan.json").write_text(files.dump(plan()))
    return read(folder)


def compared(tmp_path: Path, second: LoadRecord, plans: tuple[Plan, Plan] | None = None) -> Comparison:
    return compare(kept(tmp_path / "first"), second, plans or (plan(), plan()))


def test_the_same_load_twice_can_be_compared(tmp_path: Path) -> None:
    found = compared(
        tmp_path, kept(tmp_path / "b", Job("other", {**LOAD, "seed": 7, "tick": 0.005}, name="neighbours"))
    )
    assert (found.comparable, found.load, found.setting) == (True, (), ())
    assert any(text.startswith("seeds differ (0 and 7)") for text in found.remarks)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("users", 20, "users: 10 and 20"),
        ("arrivals", "constant:60/s", "arrivals: constant:50/s and constant:60/s"),
        ("traffic", "local", "traffic: neighbours and local"),
        ("body", 1000, "body: 64 and 1000"),
        ("encryption", "omemo", "encryption: plain and omemo"),
    ],
)
def test_another_load_cannot(tmp_path: Path, name: str, value: object, said: str) -> None:
    found = compared(tmp_path, kept(tmp_path / "b", Job("lab", {**LOAD, name: value}, name="neighbours")))
    assert not found.comparable
    assert found.load == (said,)
    assert "it was not the same load" in found.against[0]


def with_own_server(made: Plan, name: str) -> Plan:
    """The plan with the user's own software on all servers."""
    servers = (
        replace(one, software="custom", version="", custom=Custom(name, ("./serve",))) for one in made.topology.servers
    )
    return replace(made, topology=replace(made.topology, servers=tuple(servers)))


def test_one_thing_of_the_setting_is_what_a_comparison_is_about_two_are_too_many(tmp_path: Path) -> None:
    same, pinned = kept(tmp_path / "b"), kept(tmp_path / "c", Job("lab", LOAD, pin=True, name="neighbours"))
    for plans, said in (
        ((plan(), plan("line:3")), "topology: pair and line-3"),
        ((plan("ring:4"), plan("ring:4,software=ejabberd")), "software: prosody 13.0 and ejabberd 24.12"),
        ((plan(), plan(runtime="containers")), "runtime: processes and containers"),
    ):
        found = compare(same, same, plans)
        assert (found.comparable, found.setting) == (True, (said,))
        both = compare(same, pinned, plans)
        assert not both.comparable
        assert both.against == ("the settings differ in 2 ways, and each of them can be the reason for a change",)
    ours, theirs = (with_own_server(plan(), name) for name in ("ours", "theirs"))
    assert compare(same, same, (ours, theirs)).setting == ("software: ours and theirs",)
    elsewhere = replace(same, machine={**same.machine, "cores": 64})
    assert compare(same, elsewhere, (plan(), plan())).setting[0].endswith("and 64")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"interrupted": "ended by SIGINT"}, "the second was interrupted: ended by SIGINT"),
        ({"result": Result()}, "the second measured nothing"),
        ({"result": replace(noisy(1), seconds={
            number: replace(second, cpu={"worker 0": 0.99}) for number, second in noisy(1).seconds.items()
        })}, "in the second the generator was the limit"),
    ],
)  # fmt: skip
def test_what_was_not_measured_whole_cannot(tmp_path: Path, more: dict[str, Any], said: str) -> None:
    found = compared(tmp_path, kept(tmp_path / "b", **more))
    assert not found.comparable
    assert said in found.against[0]


@pytest.mark.parametrize(
    ("limits", "times", "value", "said"),
    [
        ("p50>10%", 1.6, "failed", "p50 ms changed by +"),
        ("p50 ms > 10 %, received<-5%", 1.6, "failed", "(p50 ms>10%)"),
        ("p50>200%", 1.6, "valid", "No change is outside of p50>200%."),
        ("p50<-10%", 1.6, "valid", "p50<-10%"),
        ("p50<-10%", 0.5, "failed", "p50 ms changed by -"),
        ("a: CPU s per 1000>10%", 1.6, "failed", "a: CPU s per 1000 changed"),
        ("p50>-90%", 1.0, "unknown", "may be noise"),
        ("p50>-90%,max>-90%", 1.0, "failed", "max ms changed"),
    ],
)
def test_a_limit_of_change(tmp_path: Path, limits: str, times: float, value: str, said: str) -> None:
    found = compared(tmp_path, kept(tmp_path / "b", result=noisy(2, times=times)))
    verdict = judge_changes(found, parse_limits(limits))
    assert verdict.value == value and said in verdict.sentence, verdict


def test_from_nothing_to_something_is_above_every_limit(tmp_path: Path) -> None:
    worse = noisy(2)
    worse.routes["a->b"].lost = 3
    found = compared(tmp_path, kept(tmp_path / "b", result=worse))
    assert judge_changes(found, parse_limits("lost>1000%")).value == "failed"
    assert judge_changes(found, parse_limits("duplicates>0%")).value == "valid", "0 in both is no change"


def test_limits_of_what_cannot_be_compared_are_unknown(tmp_path: Path) -> None:
    other = kept(tmp_path / "b", Job("lab", {**LOAD, "users": 20}, name="neighbours"), noisy(2, times=1.6))
    assert judge_changes(compared(tmp_path, other), parse_limits("p50>10%")).exit_code == 2


def test_a_figure_of_one_load_only_is_unknown(tmp_path: Path) -> None:
    lacks = noisy(2)
    lacks.usage.clear()
    verdict = judge_changes(
        compared(tmp_path, kept(tmp_path / "b", result=lacks)), parse_limits("a: CPU s per 1000>1%")
    )
    assert (verdict.value, "one of them only" in verdict.sentence) == ("unknown", True)


@pytest.mark.parametrize("text", ["p99", "p99>10", "p99>ten%", ">10%", "", "p99>10%,", "p99>=10%"])
def test_what_is_no_limit(text: str) -> None:
    with pytest.raises(UserError, match="is no limit of a change"):
        parse_limits(text)


def test_the_verb_says_so_and_ends_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept(tmp_path / "a")
    kept(tmp_path / "b", result=noisy(2, times=1.6))
    kept(tmp_path / "c", Job("lab", {**LOAD, "users": 20}, name="neighbours"))
    a, b, c = (str(tmp_path / name) for name in "abc")
    assert run(app, ["compare", a, b]) == 0
    text = capsys.readouterr().out
    assert "They can be compared: the same load in the same setting, twice." in text
    (line,) = (line for line in text.splitlines() if line.startswith("p50 ms"))
    assert line.endswith("yes")
    assert run(app, ["compare", a, b, "--fail-if", "p50>500%", "--fail-if", "p50>10%"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("FAILED: p50 ms changed by +")
    assert run(app, ["compare", a, b, "--fail-if", "p50>10%", "-f", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"]["value"] == "failed"
    assert run(app, ["compare", a, b, "--fail-if", "p42>10%"]) == 64
    assert "no figure 'p42' is compared; there are: sent, " in capsys.readouterr().err
    assert run(app, ["compare", a, c]) == 2
    assert max(map(len, capsys.readouterr().out.splitlines()[3:])) <= 120, "a sentence is wider than the terminal"
    assert run(app, ["compare", a, c, "-f", "json"]) == 2
    data = json.loads(capsys.readouterr().out)
    assert (data["comparable"], data["load"]) == (False, ["users: 10 and 20"])
    assert run(app, ["compare", a, str(tmp_path)]) == 64
    assert "not the folder of a load" in capsys.readouterr().err
