"""The search finds the limit of a made-up federation, noise or not, and names the part that was full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import UserError
from lab.load.limits import Bounds, Surroundings, find_limit, limiting_part
from lab.load.results import Result
from load.synthetic import Federation, result

BOUNDS = Bounds(p99=0.1, failed=0.001, start=100.0, lowest=1.0, highest=100_000.0, precision=0.05)
#: Of its capacity, where the made-up federation's p99 is 100 ms.
TRUE = 0.954


@given(st.floats(3, 90_000))
async def test_the_limit_is_found(capacity: float) -> None:
    federation = Federation(capacity)
    limit = await find_limit(federation.measure, BOUNDS)
    assert limit.confirmed
    assert TRUE * capacity / 1.06 <= limit.rate <= TRUE * capacity * 1.001
    assert limit.part == "server hub"
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

    async def measure(rate: float) -> Result:
        if rate == 800 and bad:
            bad.pop()
            return result(rate, 0.12)
        return await federation.measure(rate)

    limit = await find_limit(measure, Bounds(highest=3200))
    assert (limit.rate, limit.confirmed, limit.part) == (3200, True, "none")
    assert [trial.rate for trial in limit.trials].count(800) == 3


async def test_what_does_not_hold_again_is_lowered() -> None:
    federation, runs = Federation(1000), 0

    async def measure(rate: float) -> Result:
        nonlocal runs
        runs += 1
        if runs == len(usual.trials):  # from the confirmation on the machine is slower
            federation.capacity = 900
        return await federation.measure(rate)

    usual = await find_limit(Federation(1000).measure, BOUNDS)
    limit = await find_limit(measure, BOUNDS)
    assert limit.confirmed
    assert limit.rate <= TRUE * 900 * 1.001


async def test_nothing_holds() -> None:
    limit = await find_limit(Federation(0.5).measure, BOUNDS)
    assert (limit.rate, limit.confirmed, limit.part) == (0.0, False, "server hub")
    assert limit.trials[-1].rate == 1.0


async def test_a_slow_generator_is_the_limit() -> None:
    async def measure(rate: float) -> Result:
        return result(rate, 0.01, worker=min(1.0, rate / 1000))

    limit = await find_limit(measure, BOUNDS)
    assert limit.part == "generator"
    assert limit.rate == pytest.approx(900, rel=0.06)
    assert "worker 0 kept 0." in limit.why


def test_the_part_that_was_full() -> None:
    around = Surroundings(cores=2, server_cores={"big": 4.0}, links={"a->b": 1000})
    assert limiting_part(result(100, 0.5, cores={"big": 1.0, "small": 0.95}), around)[0] == "server small"
    assert limiting_part(result(100, 0.5, cores={"big": 1.0}, link=950), around)[0] == "link a->b"
    assert limiting_part(result(100, 0.5, cores={"x": 0.8, "y": 0.8}), around)[0] == "machine"
    assert limiting_part(result(100, 0.5, cores={"x": 0.8}), around)[0] == "unknown"
    assert limiting_part(result(100, 0.5, cores={"x": 1.0}, worker=1.0), around)[0] == "generator"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"lowest": 0}, "rates must rise"),
        ({"start": 5, "highest": 2}, "rates must rise"),
        ({"p99": 0}, "p99 must be above 0"),
        ({"failed": 1}, "a share below 1"),
        ({"precision": 0}, "precision is a share"),
    ],
)
def test_bounds_that_mean_nothing(wrong: dict[str, float], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Bounds(**wrong)
