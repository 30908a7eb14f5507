"""What a fault did to a load: what was lost during it and after it, how long it took until all was as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.load.analysis.comparison import list_changes
from lab.load.analysis.recovery import HELD, collect_seconds, measure_faults
from lab.load.analysis.thresholds import judge_load, parse_bounds
from lab.load.load_faults import collect_records, find_cut_links
from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.fault_record import FaultRecord, count_caused
from lab.load.metrics.result import Failures, Result, merge
from lab.load.metrics.run_folder import LoadOutcome, LoadRecord, RunWriter, add_faults, read
from lab.load.model.job import Job
from lab.load.report.text import render
from lab.network.fault_engine import FaultEvent
from lab.topology.faults import read_one
from lab.topology.files import load as topology_of
from tests.load.samples import LOAD, Worker

WARMUP, SECONDS, RATE = 2, 20, 50


def cut(applied: float = 8.0, healed: float | None = 11.0, name: str = "cut", **more: object) -> FaultRecord:
    """A partition of the servers a and b."""
    record = FaultRecord(name, "partition", 1, ("a", "b"), (("a", "b"), ("b", "a")), applied, healed)
    return replace(record, **more)  # type: ignore[arg-type]


def run_load(
    silent: range = range(0), slow: range = range(0), *, arrivals: str = "50/s", other: str = "b->c"
) -> tuple[Result, dict[int, dict[str, RouteCounters]]]:
    """A load on a->b, on which nothing passes in the seconds `silent`, and messages take 1 s instead of 10 ms in the
    seconds `slow`; the route `other` always carries as much.
    """
    load = replace(LOAD, warmup=float(WARMUP), seconds=float(SECONDS), arrivals=arrivals)
    worker, samples = Worker(load=load), []
    for second in range(WARMUP + SECONDS):
        for number in range(RATE):
            due, warmup = second + number / RATE, second < WARMUP
            recorder = worker.at(due)
            for route in ("a->b", other):
                recorder.record_sent(route, warmup)
                delay = 1_000_000 if route == "a->b" and second in slow else 10_000 + 20 * number
                if route != "a->b" or second not in silent:
                    recorder.record_received(route, warmup, delay, delay)
                else:
                    recorder.record_bounced(route, warmup, "remote-server-timeout")
        samples.append(worker.take(second + 1.0))
    result = merge(samples)
    bounced = sorted(int(10 * (second + n / RATE)) for second in silent for n in range(RATE))
    result.failures = [Failures("a->b", "bounced", due, bounced.count(due)) for due in dict.fromkeys(bounced)]
    return result, collect_seconds(samples)


def measure(
    result_and_seconds: tuple[Result, dict[int, dict[str, RouteCounters]]], *faults: FaultRecord
) -> FaultRecord:
    return measure_faults(faults, *result_and_seconds)[0]


def test_recovery_is_the_time_from_healing_until_rate_and_delay_are_as_before() -> None:
    found = measure(run_load(range(8, 11), range(11, 13)), cut())
    assert (found.recovery, found.unknown) == (2.0, "")
    assert (found.bounced_during, found.bounced_after, found.lost_during) == (3 * RATE, 0, 0)


def test_a_load_that_is_as_before_at_once_has_recovered_in_the_next_whole_second() -> None:
    assert measure(run_load(range(8, 11)), cut(healed=11.0)).recovery == 0.0
    assert measure(run_load(range(8, 11)), cut(healed=10.4)).recovery == pytest.approx(0.6)


def test_what_fails_after_the_healing_is_apart() -> None:
    found = measure(run_load(range(8, 13)), cut())
    assert (found.recovery, found.bounced_during, found.bounced_after) == (2.0, 3 * RATE, 2 * RATE)


def test_one_good_second_between_bad_ones_is_no_recovery() -> None:
    seconds = [*range(8, 12), *range(13, 15)]
    found = measure(run_load(slow=seconds), cut())  # type: ignore[arg-type]
    assert found.recovery == 4.0 and HELD > 1


def test_a_link_that_stays_dead_is_not_hidden_by_the_others() -> None:
    """The other route carries all of its messages: together they would look like half of the load."""
    found = measure(run_load(range(8, 22)), cut())
    assert found.recovery is None
    assert found.unknown == "not in the 11.0 s until the end of the load"
    assert found.bounced_after == 11 * RATE


def test_the_recovery_is_not_known_without_a_steady_state_before() -> None:
    assert (
        "needs 3 s of steady state before the first fault, and there were 2"
        in measure(run_load(range(4, 6)), cut(4.0, 6.0)).unknown
    )


def test_the_recovery_is_not_known_when_the_next_fault_begins_or_the_load_ends() -> None:
    next_one = cut(12.0, 14.0, "next")
    assert measure(run_load(range(8, 14)), cut(), next_one).unknown == "not in the 1.0 s until the next fault"
    assert measure(run_load(range(8, 22)), cut(healed=None)).unknown == "it acted until the end"
    assert measure(run_load(range(8, 22)), cut(healed=22.1)).unknown == "it acted until the end"


def test_a_fault_of_other_servers_does_not_concern_the_recovery() -> None:
    foreign = replace(cut(12.0, 14.0, "foreign"), servers=("x", "y"), links=(("x", "y"),))
    assert measure(run_load(range(8, 11), range(11, 13)), cut(), foreign).recovery == 2.0


def test_a_rate_that_falls_by_plan_is_no_missing_recovery() -> None:
    """Each second carries 50 messages, and the arrivals ask for ever more: relative to them that is ever less."""
    assert measure(run_load(range(8, 11)), cut()).recovery == 0.0
    rising = measure(run_load(range(8, 11), arrivals="ramp:50/s..500/s,over=20s"), cut())
    assert rising.recovery is None


def failing(due: float, route: str = "a->b", kind: str = "lost") -> Failures:
    return Failures(route, kind, int(10 * due), 1)


def test_a_loss_is_of_a_fault_by_time_and_route_and_counts_once() -> None:
    inside = [failing(at) for at in (7.2, 8.5, 10.9, 12.5)]  # 7.2: under way when the fault began
    outside = [failing(at) for at in (6.5, 13.5)]
    fault = cut(recovery=2.0)
    assert count_caused([*inside, *outside], "lost", [fault]) == 4
    assert count_caused(inside, "lost", [fault, replace(fault, name="other")]) == 4
    assert count_caused(inside, "bounced", [fault]) == 0
    assert count_caused([failing(9, "b->a"), failing(9, "presence a->b"), failing(9, "room")], "lost", [fault]) == 3
    assert count_caused([failing(9, "b->c"), failing(9, "presence c->a")], "lost", [fault]) == 0
    killed = replace(fault, servers=("b",), links=())
    assert count_caused([failing(9, "b->c"), failing(9, "c->a")], "lost", [killed]) == 1


def test_after_a_fault_without_recovery_losses_are_the_loads_own() -> None:
    assert count_caused([failing(9.0), failing(12.0)], "lost", [cut(unknown="not in the …")]) == 1


def judged(folder: Path, faults: list[FaultRecord], *, bounds: str = "loss=0,bounced=0", **more: range) -> LoadRecord:
    result, _ = run_load(**more)
    with RunWriter(Job("lab", {}, folder=folder, name="chat", bounds=parse_bounds(bounds))) as writer:
        writer.finish(LoadOutcome(result, settled=True))
    add_faults(folder, faults)
    return read(folder)


def test_bounds_are_for_what_no_fault_concerns(tmp_path: Path) -> None:
    record = judged(tmp_path, [cut(recovery=0.0)], silent=range(8, 11))
    assert record.faults == (cut(recovery=0.0),), "what was written is what is read"
    verdict = judge_load(record)
    assert verdict.value == "valid" and "0 lost and 150 bounced under faults" in verdict.sentence


def test_a_bounce_that_no_fault_explains_fails_the_load(tmp_path: Path) -> None:
    record = judged(tmp_path, [cut(recovery=0.0)], silent=range(8, 13))
    assert judge_load(record).misses == ("bounced was 5.0000%, the bound is 0.0000%",)


def test_delays_of_faulty_seconds_are_not_judged_and_others_are(tmp_path: Path) -> None:
    (tmp_path / "fault").mkdir()
    (tmp_path / "later").mkdir()
    assert (
        judge_load(judged(tmp_path / "fault", [cut(recovery=1.0)], bounds="max=90ms", slow=range(8, 12))).value
        == "valid"
    )
    later = judge_load(judged(tmp_path / "later", [cut(recovery=1.0)], bounds="max=90ms", slow=range(8, 13)))
    assert later.value == "failed"


def test_without_an_undisturbed_second_a_delay_is_not_known(tmp_path: Path) -> None:
    assert judge_load(judged(tmp_path, [cut(2.0, None)], bounds="p99=1s")).value == "unknown"


def test_a_fault_that_could_not_act_leaves_the_verdict_unknown(tmp_path: Path) -> None:
    verdict = judge_load(judged(tmp_path, [cut(recovery=0.0, error="no such process")]))
    assert verdict.value == "unknown" and "cut did not act as declared: no such process" in verdict.sentence


def test_the_report_has_the_figures_within_80_columns(tmp_path: Path) -> None:
    long = replace(cut(recovery=0.0, bounced_during=150), name="a-name-of-many-more-than-twenty-letters")
    told = render(judged(tmp_path, [long, cut(14.0, 15.0, unknown="not in the 7.0 s until the end of the load")]))
    (row,) = [line for line in told.splitlines() if line.startswith("a-name")]
    assert row.split()[1:] == ["6.0", "9.0", "0", "150", "0", "0", "0.0"] and len(row) <= 80
    assert "Recovery from cut is not known: not in the 7.0 s until the end of the load." in told


def test_two_loads_are_compared_by_their_faults() -> None:
    result, _ = run_load()
    rows = {
        row["figure"]: (row["first"], row["second"])
        for row in list_changes(
            result, result, [cut(recovery=2.0, bounced_during=150)], [cut(recovery=5.0, lost_after=3)]
        )
    }
    assert rows["cut: recovery s"] == (2.0, 5.0)
    assert (rows["cut: bounced"], rows["cut: lost"]) == ((150.0, 0.0), (0.0, 3.0))


def event(number: int, phase: str, at: float, *, occurrence: int = 1, error: str = "") -> FaultEvent:
    fields = {"links": "a b | b a", "how": "reset"}
    return FaultEvent(number, phase, "cut", "partition", occurrence, ("a", "b"), fields, at, at + 0.1, error)


def test_each_time_that_a_fault_acts_is_a_record_with_its_links() -> None:
    events = [event(1, "apply", 1010), event(2, "heal", 1012), event(3, "apply", 1020, occurrence=2, error="broken")]
    first, second = collect_records(events, 1000.0, {})
    assert first.links == (("a", "b"), ("b", "a"))
    assert (first.applied, first.healed, first.title) == (10.0, pytest.approx(12.1), "cut")
    assert (second.applied, second.healed, second.title, second.error) == (20.0, None, "cut (2)", "broken")


def test_a_partition_concerns_the_links_between_its_groups_alone() -> None:
    spec = read_one({"name": "cut", "action": "partition", "groups": [["s1"], ["s2", "s3"]]})
    links = find_cut_links(spec, topology_of("ring:3"))
    events = [replace(event(1, "apply", 1010), servers=("s1", "s2", "s3"), fields={"groups": "s1 | s2 s3"})]
    (record,) = collect_records(events, 1000.0, {"cut": links})
    assert {frozenset(link) for link in record.links} == {frozenset({"s1", "s2"}), frozenset({"s1", "s3"})}
    assert record.concerns("s1->s3") and record.concerns("s2->s1") and not record.concerns("s2->s3")


def test_duplicates_of_faulty_seconds_are_not_judged_and_others_are(tmp_path: Path) -> None:
    for name, second, value in (("fault", 9, "valid"), ("later", 15, "failed")):
        result, _ = run_load()
        result.seconds[second].tally.duplicates += 1
        result.routes["a->b"].duplicates += 1
        folder = tmp_path / name
        folder.mkdir()
        with RunWriter(Job("lab", {}, folder=folder, bounds=parse_bounds("duplicates=0"))) as writer:
            writer.finish(LoadOutcome(result, settled=True))
        add_faults(folder, [cut(recovery=0.0)])
        assert judge_load(read(folder)).value == value
