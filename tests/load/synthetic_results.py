"""Results made up from a model of a federation: what a search or a study should find in them is known."""

from __future__ import annotations

import random

from lab.load.capacity.search import Measurement
from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.result import Result, Second, Usage

SECONDS = 4


def result(
    rate: float,
    p99: float,
    *,
    lost: int = 0,
    cores: dict[str, float] | None = None,
    worker: float = 0.3,
    link: int = 0,
    actual: float | None = None,
) -> Result:
    """A load of four seconds without warm-up in which all but the last hundredth took a tenth of p99.

    Delays from the actual send are those from the intended time, or all of them `actual`.
    """
    received = max(1, int(rate * SECONDS))
    tally = RouteCounters()
    tally.sent = tally.expected = received + lost
    tally.received, tally.lost = received, lost
    for number in range(200):
        delay = p99 if number >= 196 else p99 / 10
        tally.intended.record(delay)
        tally.actual.record(delay if actual is None else actual)
    plan = {"workers": 1, "warmup": 0.0, "seconds": float(SECONDS), "tick": 0.005, "expected": rate * SECONDS}
    seconds = {n: Second(1.0, 1.0, RouteCounters(), cpu={"worker 0": worker}) for n in range(SECONDS)}
    usage = {
        name: [Usage(0.0, 0.0, 1), Usage(float(SECONDS), used * SECONDS, 1)] for name, used in (cores or {}).items()
    }
    return Result(plan, {"a->b": tally}, {}, seconds, usage, {"a->b": link * SECONDS})


class Federation:
    """Carries `capacity` messages per second on server "hub" with one core; delays grow like a queue's, with noise."""

    def __init__(self, capacity: float, noise: float = 0.0, seed: int = 0) -> None:
        self.capacity, self.noise = capacity, noise
        self.random = random.Random(seed)
        self.rates: list[float] = []

    async def measure(self, rate: float) -> Measurement:
        """p99 is 4.6 ms by the idle server, 100 ms at 95.4 % of its capacity, and 5 s beyond it."""
        self.rates.append(rate)
        load = rate / self.capacity
        p99 = 0.0046 / (1 - load) if load < 0.999 else 5.0
        p99 *= self.random.lognormvariate(0, self.noise)
        lost = int((load - 1) * rate) if load > 1 else 0
        cores = {"hub": min(1.0, load), "leaf": 0.2 * load}
        return Measurement(result(min(rate, self.capacity), p99, lost=lost, cores=cores))
