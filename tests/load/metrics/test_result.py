"""Results: nothing is counted twice or in the wrong phase, and parts add up to the whole."""

import csv
import io
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UserError
from lab.load.analysis.thresholds import judge_load
from lab.load.metrics.result import Result, Usage, find_generator_limits, merge
from lab.load.metrics.rows import list_routes, list_seconds, to_csv
from lab.load.metrics.run_folder import LoadOutcome, RunWriter, read
from lab.load.metrics.sample_recorder import SampleRecorder
from lab.load.model.job import Job
from lab.load.model.spec import Shard
from lab.load.report.text import list_remarks
from tests.load.samples import LOAD, Clock, Worker, steady_run

SAMPLES = steady_run(0, 2) + steady_run(1, 2, delay=0.03)


def test_the_steady_state_is_apart_from_the_warm_up() -> None:
    result = merge(steady_run())
    assert result.routes["a->b"].sent == result.routes["a->b"].received == 400
    assert result.warmup["a->b"].received == 200
    assert result.length == pytest.approx(4.0)
    assert result.rate == pytest.approx(100.0)
    assert result.total.intended.percentile(99) == pytest.approx(0.01, rel=0.001)
    assert result.total.actual.percentile(99) == pytest.approx(0.009, rel=0.001)


def test_a_message_belongs_where_it_was_due() -> None:
    one = Worker()
    one.at(1.9).record_sent("local", True)
    one.at(3.5).record_received("local", True, 1_600_000, 1_600_000)  # due in the warm-up, received in the steady state
    one.at(5.0).record_lost("local", True)
    one.at(5.0).record_lost("local", False)
    one.at(5.0).record_bounced("local", True, "remote-server-timeout")
    one.at(5.0).record_duplicate("local", False)
    one.at(5.0).record_out_of_order("local", False)
    one.recorder.reconnect()
    result = merge([one.take(5.0)])
    warm, steady = result.warmup["local"], result.routes["local"]
    assert (warm.sent, warm.received, warm.lost, dict(warm.bounced)) == (1, 1, 1, {"remote-server-timeout": 1})
    assert (steady.sent, steady.received, steady.lost) == (0, 0, 1)
    assert (steady.duplicates, steady.out_of_order, result.reconnects) == (1, 1, 1)


def test_before_the_start_no_second_is_judged() -> None:
    recorder = SampleRecorder(LOAD, Shard(), None, clock=Clock())
    recorder.record_sent("login", True)
    sample = recorder.take()
    assert (sample["from"], sample["to"], list(sample["warmup"]), sample["steady"]) == (0, 0, ["login"], {})
    assert sample["judged"] == 0


def test_seconds_in_which_nothing_is_written_any_more_are_not_the_steady_state() -> None:
    """Stopped at second 3.5 of 6, drained until 9: the rate is what was received in 1.5 s, the CPU that of 1.5 s."""
    one, samples = Worker(), []
    for second in range(9):
        for number in range(100):
            if second + number / 100 < 3.5:
                one.message(second + number / 100)
        if second == 3:
            one.at(3.5).end()
        samples.append(one.take(second + 1.0))
    result = merge(samples)
    assert result.length == pytest.approx(1.5)
    assert result.rate == pytest.approx(100.0)
    assert [*result.steady] == [2, 3]
    assert result.cores() == pytest.approx({"worker 0": 0.25})
    result.usage["a"] = [Usage(float(at), min(at, 3.5) * 1.5, 1) for at in range(9)]
    assert result.cores()["a"] == pytest.approx(1.5)
    assert [row["phase"] for row in list_seconds(result)] == ["warmup"] * 2 + ["steady"] * 2 + ["after"] * 5


def test_parts_of_a_second_count_as_parts() -> None:
    one = Worker(load=replace(LOAD, warmup=0.5, seconds=1.2))
    one.message(0.7)
    result = merge([one.take(1.0), one.take(2.0)])
    assert result.length == pytest.approx(1.2)
    assert result.used() == pytest.approx({"worker 0": 0.25 * 1.2})


def test_the_books_must_balance() -> None:
    one = Worker()
    one.at(3.0).record_sent("room", False, 5)
    one.recorder.record_sent("local", True)
    for _ in range(3):
        one.recorder.record_received("room", False, 10_000, 10_000)
    assert merge([one.take(3.5)]).unaccounted() == {"room": 2, "warm-up local": 1}
    one = Worker()
    one.at(3.0).record_sent("room", False, 5)
    for _ in range(3):
        one.recorder.record_received("room", False, 10_000, 10_000)
    one.recorder.record_bounced("room", False, "not-acceptable", 2)
    result = merge([one.take(3.5)])
    assert result.unaccounted() == {}
    result.routes["room"].received += 1
    assert result.unaccounted() == {"room": -1}
    result.routes["room"].both += 1
    assert result.unaccounted() == {}


def test_what_does_not_add_up_makes_a_load_unknown(tmp_path: Path) -> None:
    job = Job("x", {}, folder=tmp_path)
    good, wrong = merge(steady_run()), merge(steady_run())
    wrong.routes["a->b"].received -= 3
    for result, settled, verdict_is in ((good, True, "valid"), (wrong, False, "unknown")):
        with RunWriter(job) as writer:
            writer.finish(LoadOutcome(result, drained=True, settled=True))
        kept = read(tmp_path)
        assert (kept.settled, judge_load(kept).value) == (settled, verdict_is)
    assert kept.unaccounted == {"a->b": 3}
    assert "It is not known what became of 3 messages on a->b." in list_remarks(kept)


def test_a_take_starts_anew() -> None:
    one = Worker()
    one.message(3.0)
    assert one.take(4.0)["steady"]["a->b"]["received"] == 1
    assert one.take(5.0)["steady"] == {}


def test_shares_of_what_was_expected() -> None:
    one = Worker()
    for _ in range(97):
        one.message(3.0)
    one.at(4.0).record_lost("a->b", False, 2)
    one.recorder.record_bounced("a->b", False, "resource-constraint")
    total = merge([one.take(4.0)]).total
    assert (total.deliveries, total.loss, total.failed) == (100, 0.02, 0.03)


@given(st.randoms(use_true_random=False), st.integers(0, len(SAMPLES)))
def test_order_and_grouping_do_not_matter(chance: random.Random, cut: int) -> None:
    shuffled = chance.sample(SAMPLES, len(SAMPLES))
    left, right = merge(shuffled[:cut]), merge(shuffled[cut:])
    left.add(right)
    whole = merge(SAMPLES)
    assert (left.routes, left.warmup, left.plan) == (whole.routes, whole.warmup, whole.plan)
    assert {n: s.tally for n, s in left.seconds.items()} == {n: s.tally for n, s in whole.seconds.items()}
    assert left.length == pytest.approx(whole.length)
    assert left.used() == pytest.approx(whole.used())


def test_adding_leaves_the_other_one_alone() -> None:
    part, whole = merge(SAMPLES[:3]), Result()
    whole.add(part)
    whole.add(merge(SAMPLES[3:]))
    assert part.to_json() == merge(SAMPLES[:3]).to_json()


def test_two_loads_are_not_added() -> None:
    other = merge(steady_run())
    with pytest.raises(UserError, match="two different loads"):
        other.add(merge(SAMPLES))


def test_json_and_back() -> None:
    result = merge(SAMPLES)
    result.usage["a"] = [Usage(1.0, 0.5, 1000), Usage(2.0, 0.75, 2000)]
    result.links["a->b"] = 12345
    text = json.dumps(result.to_json())
    again = Result.from_json(json.loads(text))
    assert again == result
    assert json.dumps(again.to_json()) == text
    with pytest.raises(UserError, match="version 2"):
        Result.from_json({**result.to_json(), "version": 1})


def test_what_it_cost() -> None:
    result = merge(SAMPLES)
    # 1.5 cores from second 2 to 6; the readings of the warm-up (idle) do not count.
    result.usage["a"] = [Usage(float(at), max(0.0, at - 2) * 1.5, 1 << 20) for at in range(8)]
    assert result.cores() == pytest.approx({"a": 1.5, "worker 0": 0.25, "worker 1": 0.25})
    assert result.cost()["a"] == pytest.approx(6.0 / 400 * 1000)


def test_readings_between_the_seconds_are_stretched() -> None:
    result = merge(SAMPLES)
    result.usage["a"] = [Usage(at + 0.4, at * 0.5, 1) for at in range(7)]  # four inside: three seconds of four
    result.usage["b"] = [Usage(3.0, 1.0, 1)]
    assert result.cores()["a"] == pytest.approx(0.5)
    assert "b" not in result.cores(), "one reading says nothing"


def test_tables() -> None:
    result = merge(SAMPLES)
    result.usage["a"] = [Usage(at + 0.5, at * 0.5, 100 + at) for at in range(6)]
    rows = list(csv.DictReader(io.StringIO(to_csv(list_seconds(result)))))
    assert [row["phase"] for row in rows] == ["warmup"] * 2 + ["steady"] * 4
    assert rows[0]["epoch"] == "", "nothing said when the load began"
    assert [row["epoch"] for row in list_seconds(result, 1000.25)][:2] == [1000.25, 1001.25]
    assert rows[3]["received_per_second"] == "100.0"
    assert (rows[3]["a cores"], rows[0]["a cores"], rows[3]["a rss"]) == ("0.5", "", "103")
    assert float(rows[3]["p99_ms"]) == pytest.approx(30, rel=0.001)
    assert float(rows[3]["worker 1 cores"]) == 0.25
    routes = list_routes(result)
    assert [row["route"] for row in routes] == ["a->b", "all"]
    assert (routes[0]["received"], routes[0]["per_second"]) == (400, 100.0)
    assert (routes[0]["p50_ms"], routes[0]["written_p50_ms"]) == pytest.approx((10, 9), rel=0.001)
    assert to_csv([]) == ""


def test_a_generator_with_room_to_spare_is_not_the_limit() -> None:
    assert find_generator_limits(merge(SAMPLES)) == ()


def test_the_generator_is_named_when_it_is_the_limit() -> None:
    assert "was not reached" in find_generator_limits(merge(SAMPLES[:1]))[0]
    busy = merge([{**sample, "cpu": 0.97} for sample in SAMPLES])
    assert [line.split(":")[0] for line in find_generator_limits(busy)] == [
        f"worker {n} used 0.97 of its core" for n in (0, 1)
    ]
    late = merge([{**sample, "lag": [50_000, 1]} for sample in SAMPLES])
    assert "50.0 ms late" in find_generator_limits(late)[0]
    few = merge([{**sample, "plan": {**sample["plan"], "expected": 800.0}} for sample in SAMPLES])
    assert "400 of 800 requested messages" in find_generator_limits(few)[0]
    interrupted = [{**s, "plan": {**s["plan"], "expected": 800.0}} for s in SAMPLES if s["to"] <= 4]
    assert find_generator_limits(merge(interrupted)) == (), "fewer is no wonder"
