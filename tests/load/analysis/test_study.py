"""Studies: every topology in each round, means with honest intervals, the graph's metrics beside them."""

import random
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.load.analysis import study_folder
from lab.load.analysis.study import (
    Figures,
    StudyRun,
    build_plot_points,
    build_table,
    compute_figures,
    compute_graph_metrics,
    compute_mean_interval,
    compute_rank_correlation,
    in_order,
    measure_all,
)
from lab.load.metrics.fault_record import FaultRecord
from lab.load.metrics.result import Result
from lab.load.metrics.run_folder import LoadOutcome, RunWriter
from lab.load.model.job import Job
from lab.topology.facts import compute_facts
from lab.topology.spec import Link, Server, Topology
from tests.load.synthetic_results import result


def _topology(links: list[tuple[str, str]], software: str = "prosody") -> Topology:
    names = sorted({name for pair in links for name in pair})
    servers = tuple(Server(name, f"{name}.lab", software, "1") for name in names)
    return Topology("t", "", servers, tuple(Link(a, b) for a, b in links))


STAR = _topology([("a", "b"), ("a", "c"), ("a", "d")])
PATH = _topology([("a", "b"), ("b", "c"), ("c", "d")])
MESH = _topology([(a, b) for a in "abcd" for b in "abcd" if a < b], software="ejabberd")
TOPOLOGIES = {"star:4": STAR, "path:4": PATH, "mesh:4": MESH}


async def _cells(seeds: range) -> list[StudyRun]:
    async def measure(topology: Topology, seed: int) -> Figures:
        noise = random.Random(f"{len(topology.links)}/{compute_facts(topology).diameter}/{seed}").uniform(0.9, 1.1)
        delay = 0.01 * compute_facts(topology).diameter * noise
        return compute_figures(result(100, delay, cores={"a": 0.3, "b": 0.1}, link=2000))

    return [cell async for cell in measure_all(measure, TOPOLOGIES, seeds)]


async def test_rounds_hold_each_topology_once_in_changing_order() -> None:
    cells = await _cells(range(8))
    rounds = [[cell.topology for cell in cells[n : n + 3]] for n in range(0, 24, 3)]
    assert all(sorted(one) == sorted(TOPOLOGIES) for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1
    assert [cell.seed for cell in cells] == [seed for seed in range(8) for _ in range(3)]


async def test_rows_are_in_the_order_in_which_topologies_were_given() -> None:
    cells, given = await _cells(range(2)), ["mesh:4", "path:4", "star:4"]
    assert [cell.topology for cell in cells[:3]] != given
    assert [(row["topology"], row["runs"]) for row in build_table(in_order(cells, given))] == [
        (one, 2) for one in given
    ]


async def test_the_table() -> None:
    rows = {row["topology"]: row for row in build_table(await _cells(range(5)))}
    star, path, mesh = (rows[name] for name in ("star:4", "path:4", "mesh:4"))
    assert (star["software"], rows["mesh:4"]["software"], star["runs"]) == ("prosody", "ejabberd", 5)
    assert (star["diameter"], star["mean_degree"], star["centralisation"]) == (2, 1.5, 1.0)
    assert (star["max_degree"], star["betweenness"], star["linked_pairs"]) == (3, 1.0, 0.5)
    assert (mesh["betweenness"], mesh["linked_pairs"], path["linked_pairs"]) == (0.0, 1.0, 0.5)
    # Of a path of four each inner one lies between two of three pairs: ((2/3 - 0) * 2) / 3.
    assert path["betweenness"] == pytest.approx(0.444, abs=1e-3)
    assert star["p99_ms_low"] < 20 < star["p99_ms_high"]
    assert star["cpu_per_1000"] == pytest.approx(4.0)
    assert star["clients_per_1000"] > 0
    assert star["busiest_share"] == pytest.approx(0.75)
    assert star["link_bytes"] == pytest.approx(20)
    points = build_plot_points(list(rows.values()), "diameter", "p99_ms")
    assert [point["topology"] for point in points] == ["mesh:4", "star:4", "path:4"]
    assert compute_rank_correlation(points) == pytest.approx(1.0)


def test_what_was_not_metered_is_not_in_it() -> None:
    bare = result(100, 0.01)
    bare.links = {}
    assert set(compute_figures(bare)) == {"p50_ms", "p99_ms", "loss", "failed", "per_second", "clients_per_1000"}


@pytest.mark.parametrize(
    ("recoveries", "found"),
    [
        ((), {}),
        ((2.0, 5.0, 1.0), {"recovery_s": 5.0, "recovered": 1.0}),
        ((2.0, None), {"recovered": 0.5}),
        ((None,), {"recovered": 0.0}),
    ],
)
def test_a_run_has_a_recovery_time_only_if_it_recovered_from_each_fault(recoveries, found) -> None:
    faults = [
        FaultRecord(f"f{number}", "partition", 1, ("a",), (), 3.0, 4.0, recovery=one, unknown="" if one else "why")
        for number, one in enumerate(recoveries)
    ]
    bare, under = compute_figures(result(100, 0.01)), compute_figures(result(100, 0.01), faults)
    assert {name: value for name, value in under.items() if name not in bare} == found
    (row,) = build_table([StudyRun("t", "prosody", 0, compute_graph_metrics(STAR), under)])
    assert {name: row[name] for name in ("recovery_s", "recovered") if name in row} == found


def test_intervals() -> None:
    assert compute_mean_interval([3.0]).low is None
    found = compute_mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    # 2.776 * 1.5811 / sqrt(5)
    assert (found.mean, found.low, found.high) == pytest.approx((3.0, 3.0 - 1.963, 3.0 + 1.963), abs=1e-3)
    assert compute_mean_interval([0.0, 0.0, 0.0, 0.0, 1.0]).low == 0.0, "no figure of a load is below 0"


def test_of_few_runs_it_is_the_range() -> None:
    found = compute_mean_interval([1.0, 2.0, 6.0, 3.0])
    assert (found.mean, found.low, found.high) == (3.0, 1.0, 6.0)


async def test_a_run_without_a_delivery_is_no_part_of_a_mean() -> None:
    cells = await _cells(range(2))
    nothing = result(100, 0.01, lost=5)
    nothing.routes["a->b"].received = 0
    cells.append(StudyRun("star:4", "prosody", 3, compute_graph_metrics(STAR), compute_figures(nothing)))
    row = next(row for row in build_table(cells) if row["topology"] == "star:4")
    assert row["runs"] == 2
    assert row["p99_ms_low"] > 15
    (empty,) = build_table([cells[-1]])
    assert (empty["runs"], empty["links"], "p99_ms" in empty) == (0, 3, False)


@pytest.mark.parametrize("runs", [5, 8, 40])
def test_intervals_hold_the_truth_in_95_of_100_studies(runs: int) -> None:
    drawn = random.Random(runs)
    inside = 0
    for _ in range(2000):
        found = compute_mean_interval([drawn.gauss(10, 3) for _ in range(runs)])
        inside += found.low <= 10 <= found.high
    assert inside / 2000 == pytest.approx(0.95, abs=0.02)


def test_ranks() -> None:
    def points(*pairs: tuple[float, float]) -> list[dict[str, float]]:
        return [{"x": x, "y": y} for x, y in pairs]

    assert compute_rank_correlation(points((1, 9), (2, 4), (3, 1))) == pytest.approx(-1)
    assert compute_rank_correlation(points((1, 1), (2, 3), (3, 2), (4, 4))) == pytest.approx(0.8)
    assert compute_rank_correlation(points((1, 1), (1, 3))) is None
    assert compute_rank_correlation([]) is None


def test_only_whole_runs_are_kept_for_a_study_that_is_gone_on_with(tmp_path: Path) -> None:
    outcomes = {
        "001-whole": LoadOutcome(result(100, 0.01), settled=True),
        "002-interrupted": LoadOutcome(result(100, 0.01), "ended by SIGINT"),
        "003-nothing": LoadOutcome(Result()),
    }
    runs = []
    for seed, (name, outcome) in enumerate(outcomes.items()):
        (tmp_path / name).mkdir()
        with RunWriter(Job("lab", {}, folder=tmp_path / name)) as writer:
            writer.finish(outcome)
        runs.append({"folder": name, "topology": "pair", "seed": seed, "measured": True, "limited": False})
    arguments = {"topologies": ["pair"], "software": [], "seeds": 3, "test": "neighbours", "users": 4, "rate": "4/s",
                 "length": "4s", "warmup": "1s", "workers": 1, "arrivals": None, "pin": False,
                 "runtime": "auto"}  # fmt: skip
    study_folder.write_study(tmp_path, study_folder.build_contents({}, 3, runs, [], arguments))
    assert study_folder.find_completed_runs(tmp_path) == (arguments, {("pair", 0): runs[0]})
    study_folder.write_study(tmp_path, study_folder.build_contents({}, 3, runs, []))
    with pytest.raises(UserError, match="start a new study"):
        study_folder.find_completed_runs(tmp_path)
