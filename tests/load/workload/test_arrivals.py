"""Arrivals: as many as asked for, when asked for, and the workers together send what one would."""

import itertools
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UserError
from lab.load.model.spec import Shard
from lab.load.worker.process import LONGEST_LINE
from lab.load.workload.arrivals import FORMS, MOST_TIMES, Arrivals, Schedule, parse_arrivals

RATES = [
    "constant:100/s",
    "poisson:100/s",
    "ramp:20/s..200/s,over=5s",
    "ramp:200/s..0/s,over=5s",
    "step:50/s+50/s,each=2s,to=150/s",
    "spike:0/s..300/s,at=3s,for=2s",
    "poisson:ramp:20/s..200/s,over=5s",
]

ALONE = Shard()


def _all(text: str, until: float = 10.0, shard: Shard = ALONE, seed: int = 1, warmup: float = 0.0) -> list[float]:
    return parse_arrivals(text).schedule(seed, shard, warmup).due(until)


def test_a_constant_rate_is_even() -> None:
    assert _all("100/s", until=0.05) == pytest.approx([0.0, 0.01, 0.02, 0.03, 0.04, 0.05])
    assert _all("600/min", until=0.1) == pytest.approx([0.0, 0.1])


@pytest.mark.parametrize("text", RATES)
@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_workers_together_send_what_one_would(text: str, workers: int) -> None:
    parts = [_all(text, shard=Shard(index, workers)) for index in range(workers)]
    assert sorted(at for part in parts for at in part) == _all(text)


@pytest.mark.parametrize("text", RATES)
def test_as_many_come_as_are_expected(text: str) -> None:
    arrivals = parse_arrivals(text)
    for start, end in [(0, 2), (2, 5), (5, 10)]:
        count = sum(start <= at < end for at in _all(text))
        expected = arrivals.count_expected(start, end)
        # Poisson: five standard deviations; evenly spaced: one at either end.
        assert count == pytest.approx(expected, abs=5 * math.sqrt(expected) if arrivals.model == "poisson" else 1.01)


def test_poisson_gaps_are_exponential_also_in_one_workers_part() -> None:
    for shard, rate in [(Shard(), 1000), (Shard(1, 4), 250)]:
        times = _all("poisson:1000/s", until=40, shard=shard)
        gaps = sorted(b - a for a, b in itertools.pairwise(times))
        mean = sum(gaps) / len(gaps)
        assert mean == pytest.approx(1 / rate, rel=0.05)
        # Kolmogorov-Smirnov against 1 - exp(-x/mean); 1.95 / sqrt(n) is passed by 99.9 % of true samples.
        worst = max(abs((i + 1) / len(gaps) - (1 - math.exp(-gap * rate))) for i, gap in enumerate(gaps))
        assert worst < 1.95 / math.sqrt(len(gaps))


def test_the_seed_decides() -> None:
    assert _all("poisson:100/s", seed=1) == _all("poisson:100/s", seed=1)
    assert _all("poisson:100/s", seed=1) != _all("poisson:100/s", seed=2)


def test_rates_over_time() -> None:
    ramp, step, spike = (
        parse_arrivals(RATES[2]),
        parse_arrivals(RATES[4]),
        parse_arrivals("spike:10/s..300/s,at=3s,for=2s"),
    )
    assert [ramp.get_rate(t) for t in (0, 2.5, 5, 9)] == pytest.approx([20, 110, 200, 200])
    assert [step.get_rate(t) for t in (0, 1.9, 2, 4, 100)] == [50, 50, 100, 150, 150]
    assert [spike.get_rate(t) for t in (0, 3, 4.9, 5)] == [10, 300, 300, 10]
    assert (ramp.find_peak(2.5), ramp.find_peak(60), spike.find_peak(1), spike.find_peak(4)) == pytest.approx(
        (110, 200, 10, 300)
    )
    assert parse_arrivals("step:1/s+1/s,each=10s").get_rate(3600) == 361


def test_the_warm_up_has_the_first_rate() -> None:
    times = _all("spike:10/s..1000/s,at=0s,for=1s", until=6, warmup=5)
    assert sum(at < 5 for at in times) == 5000, "a spike at once is the first rate"
    times = _all("ramp:10/s..100/s,over=10s", until=15, warmup=5)
    assert sum(at < 5 for at in times) == pytest.approx(50, abs=1)
    assert len(times) == pytest.approx(50 + 550, abs=1)


@given(st.lists(st.floats(0, 20), min_size=1, max_size=30), st.sampled_from(RATES))
def test_each_time_is_given_once_and_when_due(looks: list[float], text: str) -> None:
    schedule, given_so_far = parse_arrivals(text).schedule(3, Shard(1, 2)), []
    for look in sorted(looks):
        due = schedule.due(look)
        assert all(at <= look for at in due)
        given_so_far += due
        assert schedule.next > look
    assert given_so_far == _all(text, max(looks), Shard(1, 2), seed=3)


def test_what_is_late_keeps_its_time() -> None:
    schedule = Schedule(iter([0.1, 0.2, 5.0]))
    assert (schedule.due(0.05), schedule.due(2.0), schedule.due(2.0), schedule.next) == ([], [0.1, 0.2], [], 5.0)


def test_replay(tmp_path: Path) -> None:
    file = tmp_path / "times.csv"
    file.write_text("at,what\n0.5,x\n0.25,y\n\n1.75,z\n")
    arrivals = parse_arrivals(f"replay:{file}")
    assert arrivals.times == (0.25, 0.5, 1.75)
    assert arrivals.schedule(0, Shard(1, 2), warmup=1).due(9) == [1.5]
    assert (arrivals.get_rate(0.2), arrivals.find_peak(60), arrivals.count_expected(0, 1)) == (2, 2, 2)


@given(st.lists(st.integers(0, 10**10), min_size=1).map(sorted))
def test_a_replay_travels_without_its_file(whole: list[int]) -> None:
    times = tuple(at / 1e6 for at in whole)
    there = parse_arrivals(Arrivals("replay:gone", "replay", times=times).portable)
    assert (there.model, there.shown) == ("replay", f"replay:{len(times)} times")
    assert there.times == pytest.approx(times, abs=1e-9)
    for shard in (Shard(), Shard(1, 2)):
        assert there.schedule(0, shard, 1.0).due(1e6) == pytest.approx(
            [at + 1.0 for at in times[shard.index :: shard.of]]
        )


def test_a_replay_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.load.workload.arrivals.MOST_TIMES", 3)
    file = tmp_path / "times.csv"
    file.write_text("1\n2\n3\n4\n")
    with pytest.raises(UserError, match="holds 4 times, and at most 3 are replayed"):
        parse_arrivals(f"replay:{file}")


def test_a_replay_of_many_fits_a_workers_first_line() -> None:
    drawn = random.Random(1)
    times = tuple(sorted(drawn.uniform(0, 1000) for _ in range(MOST_TIMES)))
    assert len(Arrivals("replay:x", "replay", times=times).portable) < LONGEST_LINE // 2


def test_the_closed_model_is_named() -> None:
    arrivals = parse_arrivals("closed:think=500ms")
    assert (arrivals.open, arrivals.think, arrivals.get_rate(1), arrivals.find_peak(9)) == (False, 0.5, 0, 0)
    with pytest.raises(ValueError, match="closed"):
        arrivals.schedule(0, Shard())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1000", "'1000' is no rate such as 1000/s"),
        ("0/s", "a rate must be above 0"),
        ("burst:5/s", "there is no kind 'burst'"),
        ("ramp:10/s,over=5s", "needs two rates with '..' between them"),
        ("ramp:10/s..20/s", "needs over=…"),
        ("ramp:10/s..20/s,over=5", "'5' has no unit"),
        ("ramp:10/s..20/s,over=0s", "above 0"),
        ("step:10/s+0/s,each=5s", "above 0"),
        ("step:10/s+1/s,each=5ms", "each=1s or more"),
        ("spike:1/s..2/s,at=1s", "needs at=…,for=…"),
        ("closed:", "needs think=…"),
        ("replay:nowhere.csv", "nowhere.csv"),
        ("replay-times:nonsense!", "no packed times"),
        ("replay-times:bm9uc2Vuc2U=", "no packed times"),
        ("poisson:replay:x", "there is no kind 'replay'"),
    ],
)
def test_what_is_wrong_is_said_with_what_there_is(text: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_arrivals(text)
    assert told in str(caught.value)
    assert all(form in str(caught.value) for form in FORMS)


@pytest.mark.parametrize(
    ("content", "told"), [("0.5\nx\n", ":2: 'x' is no time"), ("-1\n", ":1:"), ("at\n", "no times")]
)
def test_a_replay_that_cannot_be_read(tmp_path: Path, content: str, told: str) -> None:
    (tmp_path / "times").write_text(content)
    with pytest.raises(UserError, match=told):
        parse_arrivals(f"replay:{tmp_path / 'times'}")
