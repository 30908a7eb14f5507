"""What is drawn: intervals, what was due, curves, axes, heat; each against what is known of it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.analysis.thresholds import LoadVerdict
from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.result import Result, Usage, merge
from lab.load.report.html import axes, charts, series, topology_map
from lab.load.report.html.page_data import LoadPageData
from lab.load.report.html.vega import COLOURS, Spec, render_svg
from lab.topology.files import load
from tests.load.report.html.test_load_page import outcome, told
from tests.load.samples import Worker, steady_run


def asked(arrivals: str, tmp_path: Path) -> LoadPageData:
    data = told(tmp_path, outcome())
    return LoadPageData(data.record, LoadVerdict("valid", ""), None, {"arrivals": arrivals}, None)


@pytest.mark.parametrize(
    ("arrivals", "due"),
    [
        ("100/s", [100, 100, 100, 0]),
        ("ramp:0/s..40/s,over=4s", [0, 5, 35, 0]),  # the warm-up has the first rate; 10 more each second
        ("closed:think=1s", [None] * 4),
        ("replay:/nowhere.csv", [None] * 4),
    ],
)
def test_what_was_due_follows_from_the_arrivals(arrivals: str, due: list[float | None], tmp_path: Path) -> None:
    data = asked(arrivals, tmp_path)  # 2 s of warm-up, then 4 s
    assert [data.intended(*span) for span in ((0, 1), (2, 3), (5, 6), (6, 7))] == due


def test_an_interval_that_was_hardly_covered_has_no_rate() -> None:
    worker = Worker()
    worker.message(0.5)
    samples = [worker.take(1.0), worker.take(1.3)]
    assert [(one.start, one.end) for one in series.list_time_bins(merge(samples))] == [(0, 1)]


def test_long_loads_are_put_together_and_rates_and_percentiles_stay_exact(tmp_path: Path) -> None:
    result = merge(steady_run(delay=0.01))
    one = result.seconds[3]
    result.seconds = dict.fromkeys(range(3 * series.MAX_BINS), one)
    found = series.list_time_bins(result)
    assert len(found) == series.MAX_BINS
    assert {interval.end - interval.start for interval in found} == {3}
    assert {interval.length for interval in found} == {3.0}
    assert found[0].second.tally.received == 300
    assert found[0].second.tally.intended.percentile(99) == one.tally.intended.percentile(99)
    rows = series.list_throughput(asked("closed:think=1s", tmp_path), found)
    assert {(row["series"], row["v"]) for row in rows} == {("sent", 100.0), ("received", 100.0)}


def test_cores_are_the_growth_of_processor_time() -> None:
    result = Result(usage={"a": [Usage(0.0, 5.0, 1), Usage(1.0, 5.5, 1), Usage(1.2, 5.6, 1), Usage(3.0, 5.9, 1)]})
    rows = series.list_cores(result, [])
    assert [(row["t"], row["v"]) for row in rows] == [(0.5, 0.5), (2.1, pytest.approx(0.1667, abs=1e-4))]


def test_of_many_processes_the_busiest_are_shown() -> None:
    rows = [{"series": f"s{number}", "v": number, "t": 0} for number in range(20)]
    names, shown = series.select_largest(rows, 3)
    assert names == ["s17", "s18", "s19"] and {row["series"] for row in shown} == set(names)


def test_a_curve_has_the_percentiles_and_ends_at_the_slowest() -> None:
    tally = RouteCounters()
    for number in range(1, 1001):
        tally.intended.record(number / 1000)
    names, rows = charts.list_percentiles({"a->b": tally}, tally)
    assert names == ["a->b"]
    found = {round(row["at"], 6): row["v"] for row in rows}
    assert found[2] == pytest.approx(500, rel=2e-3)
    assert found[10] == pytest.approx(900, rel=2e-3)
    assert found[100] == pytest.approx(990, rel=2e-3)
    assert max(found) == 1000 and found[1000] == pytest.approx(1000, rel=2e-3)
    assert rows[-1]["tip"].startswith("a->b: all within")
    few = RouteCounters()
    for number in range(1, 11):
        few.intended.record(number / 1000)
    assert charts.list_percentiles({"a": few}, few)[1][-1]["v"] == pytest.approx(10, rel=2e-3), "not the ninth of ten"


def test_of_many_routes_the_slowest_have_curves() -> None:
    routes = {}
    for number in range(1, 30):
        routes[f"r{number}"] = tally = RouteCounters()
        tally.intended.record(number / 1000)
    names, _ = charts.list_percentiles(routes, RouteCounters())
    assert set(names) == {charts.ALL, *(f"r{number}" for number in range(22, 30))}


@given(st.floats(1e-3, 1e6), st.floats(1.0, 1e4))
def test_logarithmic_axes_hold_their_values_and_have_ticks(low: float, times: float) -> None:
    start, stop = axes.compute_log_domain(low, low * times)
    assert start <= low * 1.001 and stop >= low * times * 0.999 and start < stop
    ticks = axes.compute_log_ticks(start, stop)
    assert len(ticks) >= 2
    assert all(math.isclose(tick, float(f"{tick:.0e}"), rel_tol=1e-9) for tick in ticks)


def test_heat_has_a_server_each_and_an_arrow_for_each_direction() -> None:
    topology = load("hidden-island")
    result = merge(steady_run())
    result.routes["island->home"] = result.routes.pop("a->b")
    result.usage["home"] = [Usage(float(at), 0.5 * at, 1) for at in range(7)]
    layers = topology_map.build_map(topology, result)["layer"]
    rows = [layer["data"]["values"] for layer in layers]
    idle, used, servers = rows[0], rows[1], rows[-1]
    assert [row["rate"] for row in used] == [100.0] and len(idle) == 3
    assert [(row["label"], row["cores"]) for row in servers] == [("island", None), ("home", 0.5), ("public", None)]
    places = {row["label"]: row["x"] for row in servers}
    assert places["island"] < used[0]["x"] < used[0]["x2"] < places["home"]


@pytest.mark.parametrize(
    ("source", "numbered"), [("hidden-island", False), ("ring:20", False), ("full-mesh:70", True), ("ring:90", False)]
)
def test_names_that_would_overlap_are_numbers_with_a_key(source: str, numbered: bool) -> None:
    assert bool(topology_map.list_key(load(source))) == numbered


def test_a_long_name_is_not_cut_but_numbered() -> None:
    names = [f"{letter}{'-server' * 7}" for letter in "ab"]
    pair = load("pair")
    servers = tuple(replace(one, name=name) for one, name in zip(pair.servers, names, strict=True))
    topology = replace(pair, servers=servers, links=(replace(pair.links[0], a=names[0], b=names[1]),))
    assert topology_map.list_key(topology) == names
    layers = topology_map.build_map(topology, merge(steady_run()))["layer"]
    assert [row["label"] for row in layers[-1]["data"]["values"]] == ["1", "2"]
    assert "limit" not in str(layers)


def test_points_that_have_one_place_stand_beside_each_other() -> None:
    assert charts._beside([1.0, 2.0, 1.0, 1.0], 0.1) == pytest.approx([0.9, 2.0, 1.0, 1.1])


@given(st.floats(0, 1e6), st.floats(0, 1e30), st.integers(2, 8))
def test_whole_ticks_are_whole_and_differ(low: float, more: float, most: int) -> None:
    ticks = axes.compute_whole_ticks(low, low + more, most)
    assert len(ticks) == len(set(ticks)) <= most
    assert all(isinstance(tick, int) and low <= tick <= low + more for tick in ticks)
    assert ticks or more < 1 or most == 2


LONG = [f"federation-server-number-{number:02}" for number in range(12)]


def texts(spec: Spec) -> list[str]:
    """All texts of a chart as it is drawn."""
    return [one.text or "" for one in Tree.fromstring(render_svg(spec, "x", "x")).iter("text")]


@pytest.mark.parametrize("names", [LONG, ["a", "b"], [f"{one}->{one}" for one in LONG]])
def test_legends_have_whole_names(names: list[str]) -> None:
    curve = charts.LoadCurve(0.0, 4.0, 4.0)
    rows = [{"t": at, "series": name, "v": at % 4, "tip": ""} for name in names for at in range(4)]
    spec = charts.build_processes(rows, curve, "messages", names, [])
    assert set(names) <= set(texts(spec))
    width = float(Tree.fromstring(render_svg(spec, "x", "x")).get("width", ""))
    assert width < 1000, "a page would make the chart smaller"


def test_bars_have_whole_names_and_ticks_of_counts_do_not_repeat() -> None:
    rows = [{"series": f"{one}->{one}", "v": at % 4, "text": "", "tip": ""} for at, one in enumerate(LONG)]
    drawn = [text for text in texts(charts.build_bars(rows, "messages", COLOURS[0], whole=True)) if text]
    assert {row["series"] for row in rows} <= set(drawn)
    assert [text for text in drawn if text.isdigit()] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("degrees", [(2, 3), (2, 2), (1, 2, 3), (2, 11)])
def test_a_studys_legend_has_whole_names_and_its_ticks_do_not_repeat(degrees: tuple[int, ...]) -> None:
    names = [f"a-topology-with-a-long-name-{number}-and-more.yaml" for number in range(len(degrees))]
    points = [
        {"topology": name, "software": "prosody", "x": float(degree), "y": 1000.5, "low": None, "high": None}
        for name, degree in zip(names, degrees, strict=True)
    ]
    drawn = texts(charts.build_study_scatter({"max_degree": points}, "milliseconds"))
    assert set(names) <= set(drawn)
    ticks = [text for text in drawn if text.isdigit() and int(text) < 100 and text != "0"]
    assert ticks and len(ticks) == len(set(ticks))
