"""A study of highest rates: what it keeps of each search, what it prints, what it resumes with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.load.analysis import study_folder
from lab.load.analysis.study import StudyRun, compute_graph_metrics
from lab.load.capacity.search import Bounds, Limit, Measurement, build_partial_limit, find_limit
from lab.load.report.html.study_page import render_page
from lab.load.report.study import judge_study, render
from lab.load.study_execution import StudyRequest, build_search_entry, compute_limit_figures
from lab.topology.files import load
from tests.load.report.html.test_load_page import Parsed
from tests.load.synthetic_results import Federation

BOUNDS = Bounds(p99=0.1, failed=0.001)
ARGUMENTS = {
    "topologies": ["ring:4", "star:4"], "software": [], "seeds": 2, "test": "neighbours", "users": 8, "rate": "100/s",
    "length": "4s", "warmup": "1s", "workers": 1, "arrivals": None, "pin": False, "runtime": "processes",
    "find_limit": "p99=100ms,loss=0.1%",
}  # fmt: skip
#: What servers of a ring and of a star can carry.
CAPACITIES = {"ring:4": 2000.0, "star:4": 1000.0}


async def study(change: Callable[[str, int, Limit], Limit] = lambda name, seed, limit: limit) -> study_folder.StudyData:
    """Each topology with two seeds."""
    runs, entries = [], []
    for seed in range(2):
        for name, capacity in CAPACITIES.items():
            limit = change(name, seed, await find_limit(Federation(capacity + seed).measure, BOUNDS))
            figures = compute_limit_figures(limit)
            runs.append(StudyRun(name, "prosody", seed, compute_graph_metrics(load(name)), figures))
            folder = f"{len(runs):03}-{name.replace(':', '-')}-{seed}"
            entries.append(build_search_entry(folder, limit, figures, name, seed))
    asked = {"load": "neighbours", "find_limit": ARGUMENTS["find_limit"]}
    return study_folder.build_contents(asked, 4, entries, runs, ARGUMENTS)


async def test_rates_stand_first_and_each_search_has_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    data = await study()
    text = render(data)
    assert all(len(line) <= 80 for line in text.splitlines())
    first, searches = text.split("\n\n")[0].splitlines(), text[text.index("search ") :]
    assert "highest rate per s" in first[0]
    rates = {row["topology"]: row["limit"] for row in data["table"]}
    assert rates["star:4"] == pytest.approx(954, rel=0.06) and rates["ring:4"] == pytest.approx(2 * 954, rel=0.06)
    assert [line.split()[0] for line in first[1:]] == ["ring:4", "star:4"]
    tried = [f"{one['rate']:.0f}{'' if one['holds'] else '!'}" for one in data["runs"][1]["search"]["trials"]]
    assert tried[:5] == ["100", "200", "400", "800", "1600!"] and {*tried} <= {*searches.split()}
    assert "server hub" in searches and "within p99=100ms,loss=0.1%" in " ".join(text.split())
    assert judge_study(data)[0] == "valid"


async def test_the_other_figures_are_those_of_the_load_that_confirmed_the_rate() -> None:
    limit = await find_limit(Federation(1000).measure, BOUNDS)
    figures = compute_limit_figures(limit)
    assert figures["limit"] == limit.rate == limit.trials[-1].rate
    assert figures["p99_ms"] == 1000 * limit.trials[-1].result.total.intended.percentile(99) <= 100


async def test_a_rate_that_was_not_confirmed_is_no_figure() -> None:
    def interrupt(name: str, seed: int, limit: Limit) -> Limit:
        return build_partial_limit(limit.trials, "interrupted", "by hand") if (name, seed) == ("ring:4", 1) else limit

    data = await study(interrupt)
    assert [(row["topology"], row["runs"]) for row in data["table"]] == [("ring:4", 1), ("star:4", 2)]
    value, said = judge_study(data)
    assert value == "unknown" and "3 of 4 runs were measured." in said


async def test_a_rate_that_only_the_generator_limited_is_said() -> None:
    async def measure(rate: float) -> Measurement:
        return await Federation(1e9).measure(rate)

    endless = await find_limit(measure, Bounds(highest=800))
    assert endless.confirmed
    data = await study(lambda name, seed, limit: endless if name == "ring:4" else limit)
    value, said = judge_study(data)
    assert value == "unknown" and "In 2 of 4 runs the generator was the limit" in said


async def test_the_page_draws_the_rates_and_leads_to_the_searches() -> None:
    parsed = Parsed(render_page(await study()))
    assert parsed.texts["h2"][0] == "Highest rate"
    links = [value for tag, name, value in parsed.attributes if (tag, name) == ("a", "href")]
    assert "002-star-4-0/limit.json" in links and not any("page.html" in one for one in links)


async def test_it_is_kept_and_resumed_without_its_loads(tmp_path: Path) -> None:
    def interrupt(name: str, seed: int, limit: Limit) -> Limit:
        return build_partial_limit(limit.trials, "interrupted", "by hand") if seed else limit

    data = await study(interrupt)
    study_folder.write_study(tmp_path, data)
    for run in data["runs"]:
        (tmp_path / run["folder"]).mkdir()
    assert study_folder.read_study(tmp_path) == json.loads(json.dumps(data))
    arguments, done = study_folder.find_completed_runs(tmp_path)
    assert arguments == ARGUMENTS
    assert {key: one["folder"] for key, one in done.items()} == {
        ("ring:4", 0): "001-ring-4-0",
        ("star:4", 0): "002-star-4-0",
    }
    del data["runs"][0]["search"]
    study_folder.write_study(tmp_path, data)
    with pytest.raises(UserError, match=r"study\.json:\d+: .*should have search"):
        study_folder.find_completed_runs(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"find_limit": "p99=fast"}, "is not a duration"),
        ({"find_limit": "p50=1s"}, "p50"),
        ({"arrivals": "ramp:1/s..9/s,over=3s"}, "--find-limit chooses the rate|--rate"),
        ({"topologies": ["slow.yaml"], "find_limit": "p99=10ms,loss=0"}, "no rate has a p99 of 10ms"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, object], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("slow.yaml").write_text(
        "name: slow\nteaches: A slow link.\nservers: {a: {}, b: {}}\nlinks: [{between: [a, b], latency: 80ms}]\n"
    )
    with pytest.raises(UserError, match=said):
        StudyRequest.parse({**ARGUMENTS, **change}, tmp_path)
    assert StudyRequest.parse(ARGUMENTS, tmp_path).planned == 4
