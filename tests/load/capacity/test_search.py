"""The search finds the limit of a made-up federation, noise or not, and names the part that was full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UserError
from lab.load.analysis.bottleneck import Capacities, find_bottleneck
from lab.load.capacity.search import MAX_TRIALS, Bounds, Measurement, build_partial_limit, find_limit
from tests.load.synthetic_results import Federation, result

BOUNDS = Bounds(p99=0.1, failed=0.001, start=100.0, lowest=1.0, highest=100_000.0, precision=0.05)
#: Of its capacity, where the made-up federation's p99 is 100 ms.
TRUE = 0.954


@given(st.floats(3, 90_000))
async def test_the_limit_is_found(capacity: float) -> None:
    federation = Federation(capacity)
    limit = await find_limit(federation.measure, BOUNDS)
    assert limit.confirmed
    assert TRUE * capacity / 1.06 <= limit.rate <= TRUE * capacity * 1.001
    assert limit.bottleneck == "server hub"
    assert [trial.rate for trial in limit.trials] == federation.rates
    assert len(federation.rates) <= 25


@pytest.mark.parametrize("seed", range(20))
async def test_noise_moves_it_little(seed: int) -> None:
    """p99 varies by a third from run to run; a search that believed single runs would stop far below now and then."""
    limit = await find_limit(Federation(2000, noise=0.3, seed=seed).measure, BOUNDS)
    assert limit.confirmed
    assert 0.85 * TRUE * 2000 <= limit.rate <= 1.03 * TRUE * 2000
    assert len(limit.trials) <= 30


async def test_one_bad_run_does_not_decide() -> None:
    federation, bad = Federation(100_000), [True]

    async def measure(rate: float) -> Measurement:
        if rate == 800 and bad:
            bad.pop()
            return Measurement(result(rate, 0.12))
        return await federation.measure(rate)

    limit = await find_limit(measure, Bounds(highest=3200))
    assert (limit.rate, limit.confirmed, limit.bottleneck) == (3200, True, "none")
    assert [trial.rate for trial in limit.trials].count(800) == 3


async def test_what_does_not_hold_again_is_lowered() -> None:
    federation, runs = Federation(1000), 0

    async def measure(rate: float) -> Measurement:
        nonlocal runs
        runs += 1
        if runs == len(usual.trials):  # from the confirmation on the machine is slower
            federation.capacity = 900
        return await federation.measure(rate)

    usual = await find_limit(Federation(1000).measure, BOUNDS)
    limit = await find_limit(measure, BOUNDS)
    assert limit.confirmed
    assert limit.rate <= TRUE * 900 * 1.001


@pytest.mark.parametrize("factor", [0.3, 0.01])
async def test_a_rate_that_was_never_tried_is_not_told(factor: float) -> None:
    """From the confirmation on every rate exceeds the bounds: what is told held when it was tried, or is none."""
    federation, runs = Federation(1000), 0

    async def measure(rate: float) -> Measurement:
        nonlocal runs
        runs += 1
        if runs == len(usual.trials):
            federation.capacity = factor * 1000
        return await federation.measure(rate)

    usual = await find_limit(Federation(1000).measure, BOUNDS)
    limit = await find_limit(measure, BOUNDS)
    assert not limit.confirmed
    assert limit.rate in [trial.rate for trial in limit.trials if trial.holds]


async def test_nothing_holds() -> None:
    limit = await find_limit(Federation(0.5).measure, BOUNDS)
    assert (limit.rate, limit.confirmed, limit.bottleneck) == (0.0, False, "server hub")
    assert limit.trials[-1].rate == 1.0


async def test_a_slow_generator_is_the_limit() -> None:
    async def measure(rate: float) -> Measurement:
        return Measurement(result(rate, 0.01, worker=min(1.0, rate / 1000)))

    limit = await find_limit(measure, BOUNDS)
    assert limit.bottleneck == "generator"
    assert limit.rate == pytest.approx(900, rel=0.06)
    assert "worker 0 used 0." in limit.why


AROUND = Capacities(cores=2, server_cores={"big": 4.0}, links={"a->b": 1000})


@pytest.mark.parametrize(
    ("cores", "more", "around", "part"),
    [
        ({"big": 1.0, "small": 0.95}, {}, {}, "server small"),
        ({"big": 1.0}, {"link": 950}, {}, "link a->b"),
        ({"x": 0.8, "y": 0.8}, {}, {}, "machine"),
        ({"x": 0.8}, {}, {"machine": 1.9}, "machine"),  # others' processes
        ({"x": 0.8}, {}, {"services": 0.95}, "services"),
        ({"x": 0.8}, {}, {"machine": 1.5}, "server x"),  # nearest
        ({"x": 0.4}, {"link": 660}, {"machine": 1.2}, "link a->b"),  # nearest
        ({"x": 0.4}, {"link": 400}, {"machine": 0.9}, "unknown"),
        ({"x": 1.0}, {"worker": 1.0}, {"machine": 2.0}, "generator"),
        ({"x": 0.5}, {"late": 0.1}, {"machine": 1.2}, "generator"),  # it had time, and was late by itself
        ({"x": 0.5}, {"late": 0.1}, {"machine": 1.95}, "machine"),  # others had its core
        ({"x": 1.0}, {"late": 0.1}, {"machine": 1.95}, "server x"),
        ({"x": 0.5}, {"late": 0.1, "link": 950}, {"machine": 1.2}, "link a->b"),  # delays arose behind the generator
        ({"x": 0.5}, {"late": 0.1, "link": 950, "actual": 0.1}, {"machine": 1.2}, "generator"),  # and here in it
        ({"x": 0.5}, {"short": 0.5}, {}, "generator"),
    ],
)
def test_the_part_that_was_full(
    cores: dict[str, float], more: dict[str, float], around: dict[str, float], part: str
) -> None:
    given = {name: value for name, value in more.items() if name in ("link", "worker", "actual")}
    made = result(100, 0.5, cores=cores, **given)
    if "late" in more:
        for second in made.seconds.values():
            second.lag.record(more["late"])
    if "short" in more:
        made.plan["expected"] /= more["short"]
    found, why = find_bottleneck(made, AROUND, around)
    assert found == part
    assert part.split()[-1] in why or part in ("generator", "unknown", "services")


def test_servers_that_share_pinned_cores_are_full_together() -> None:
    """Two servers on one core: neither fills a core, and the machine has another one for the generator."""
    made = result(100, 0.5, cores={"a": 0.5, "b": 0.48})
    assert find_bottleneck(made, Capacities(cores=2, pinned_cores=1))[0] == "servers"
    assert find_bottleneck(made, Capacities(cores=3))[0] == "server a", "it has the highest utilization"


class Backlogged:
    """Carries 1000/s; what is more than that in two seconds stays until the wait for idle."""

    def __init__(self, settles: bool = True) -> None:
        self.left, self.settles = 0.0, settles

    async def measure(self, rate: float) -> Measurement:
        late = self.left / 1000
        self.left += max(0.0, 2 * (rate - 1000))
        return Measurement(result(rate, 5.0 if rate > 1000 else 0.01 + late, cores={"hub": min(1.0, rate / 1000)}))

    async def wait_until_idle(self) -> str:
        if self.settles:
            self.left = 0.0
        return "a message took 3000 ms" if self.left else ""


async def test_no_rate_is_judged_on_the_backlog_of_another() -> None:
    federation = Backlogged()
    limit = await find_limit(federation.measure, BOUNDS, wait_until_idle=federation.wait_until_idle)
    assert limit.confirmed
    assert 950 <= limit.rate <= 1000
    unsettled = await find_limit(Backlogged().measure, BOUNDS)
    assert unsettled.rate < 900, "the backlog made no difference: the test shows nothing"


async def test_a_federation_that_never_gets_idle_is_said() -> None:
    federation = Backlogged(settles=False)
    limit = await find_limit(federation.measure, BOUNDS, wait_until_idle=federation.wait_until_idle)
    assert (limit.rate, limit.confirmed, limit.bottleneck) == (800, False, "backlog")
    assert "3 runs at 1131/s started with a backlog and are no evidence: a message took 3000 ms" in limit.why
    assert [trial.backlog != "" for trial in limit.trials[-3:]] == [True] * 3


async def test_what_an_interrupted_search_found_is_told() -> None:
    federation, trials = Federation(1000), []

    async def measure(rate: float) -> Measurement:
        if len(federation.rates) == 4:
            raise KeyboardInterrupt
        return await federation.measure(rate)

    with pytest.raises(KeyboardInterrupt):
        await find_limit(measure, BOUNDS, on_trial=trials.append)
    found = build_partial_limit(trials, "interrupted", "by hand")
    assert (found.rate, found.confirmed, found.bottleneck) == (800, False, "interrupted")
    assert [trial.rate for trial in found.trials] == [100, 200, 400, 800]


async def test_a_link_that_takes_longer_than_may_be_is_named() -> None:
    async def measure(rate: float) -> Measurement:
        return Measurement(result(rate, 0.3))

    limit = await find_limit(measure, BOUNDS, Capacities(delays={"a->b": 0.25, "b->c": 2.0}))
    assert (limit.rate, limit.bottleneck) == (0.0, "link a->b")
    assert "alone delays by 250 ms" in limit.why


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"lowest": 0}, "rates must rise"),
        ({"start": 0.1}, "a search starts at 1/s or more, not at 0.1/s"),
        ({"start": 5, "highest": 2}, "rates must rise"),
        ({"p99": 0}, "p99 must be above 0"),
        ({"failed": 1}, "a share below 1"),
        ({"precision": 0}, "precision is a share"),
    ],
)
def test_bounds_that_mean_nothing(wrong: dict[str, float], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Bounds(**wrong)


async def test_a_search_ends_however_noisy_the_loads_are() -> None:
    """Each rate is a little beyond its bounds in the first of three loads, so that each is tried thrice."""
    loads = 0

    async def measure(rate: float) -> Measurement:
        nonlocal loads
        loads += 1
        return Measurement(result(rate, 0.12 if loads % 3 == 1 else 0.09))

    limit = await find_limit(measure, Bounds(p99=0.1, start=1.0, lowest=1.0, highest=2.0**60))
    assert (len(limit.trials), loads) == (MAX_TRIALS, MAX_TRIALS)
    assert (limit.confirmed, limit.bottleneck) == (False, "unknown") and f"after {MAX_TRIALS} loads" in limit.why
    assert limit.rate == max(trial.rate for trial in limit.trials if trial.holds)
