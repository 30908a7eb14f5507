"""The highest rate that a federation carries within bounds, and which part of it was the limit.

A rate is doubled until it does not hold (or halved until it does), then the two are brought together by bisection of
their ratio; at the end the rate found has to hold again. Single runs are noisy near the limit: a rate that misses its
bounds by little is tried again, and the majority of three decides; a wide miss counts at once. A run in which the
generator was the limit says nothing about the servers and does not hold.

Nothing is measured here: `measure` does that, and must leave the federation without a backlog before it returns.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from lab.errors import UserError
from lab.load.judging import verdict_of_limits
from lab.load.results import Result

Measure = Callable[[float], Awaitable[Result]]

#: A part at this share of what it can do is the limit: the rest is lost in the unevenness of arrivals.
FULL = 0.9
#: A miss by this factor is no noise, and not tried again.
WIDE = 4.0
#: Runs a rate gets at most; the majority decides.
TRIES = 3
#: Rates, each lower than the one before, that may fail the confirmation.
CONFIRMATIONS = 4


@dataclass(frozen=True)
class Bounds:
    """What must hold, and where to look. Rates are messages per second."""

    p99: float = 0.1  # seconds from the intended time to the receiver's hands
    failed: float = 0.0  # share of messages lost or bounced
    start: float = 100.0
    lowest: float = 1.0
    highest: float = 100_000.0
    precision: float = 0.05  # the rate found is at most this share below one that failed

    def __post_init__(self) -> None:
        lowest, start, highest = self.lowest, self.start, self.highest
        if not 0 < lowest <= start <= highest:
            raise UserError(f"rates must rise from above 0: lowest {lowest:g}, start {start:g}, highest {highest:g}")
        if self.p99 <= 0 or not 0 <= self.failed < 1:
            raise UserError(f"p99 must be above 0 s (is {self.p99:g}), failed a share below 1 (is {self.failed:g})")
        if not 0.001 <= self.precision < 1:
            raise UserError(f"precision is a share from 0.001 to below 1, not {self.precision:g}")


@dataclass(frozen=True)
class Surroundings:
    """What the parts can do at most."""

    cores: int = 1  # of the machine
    server_cores: Mapping[str, float] = field(default_factory=dict)  # what a server can use, 1.0 where not named
    links: Mapping[str, int] = field(default_factory=dict)  # bytes per second by route, of links that have a rate


@dataclass(frozen=True)
class Trial:
    """One run."""

    rate: float
    misses: tuple[str, ...]  # bounds that did not hold, a sentence each
    wide: bool  # a miss was beyond noise
    result: Result

    @property
    def holds(self) -> bool:
        """All bounds held."""
        return not self.misses


@dataclass(frozen=True)
class Limit:
    """What was found. `part` is "server NAME", "link A->B", "machine", "generator", "unknown" or "none"."""

    rate: float  # the highest that held, 0.0 if none did
    confirmed: bool  # it held once more at the end
    part: str
    why: str
    trials: tuple[Trial, ...]


async def find_limit(measure: Measure, bounds: Bounds, surroundings: Surroundings | None = None) -> Limit:
    """Search. `measure(rate)` runs a load at that rate; it is called about ten to twenty-five times."""
    search = _Search(measure, bounds)
    low, high = await search.bracket()
    while low and high / low > 1 + bounds.precision and high < math.inf:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if await search.holds(middle) else (low, middle)
    confirmed = False
    for _ in range(CONFIRMATIONS):
        if not low or (confirmed := await search.holds(low)):
            break
        low = low / (1 + bounds.precision) if low / (1 + bounds.precision) >= bounds.lowest else 0.0
    part, why = _part(search.trials, low, surroundings or Surroundings())
    return Limit(low, confirmed, part, why, tuple(search.trials))


class _Search:
    def __init__(self, measure: Measure, bounds: Bounds) -> None:
        self._measure, self._bounds = measure, bounds
        self.trials: list[Trial] = []

    async def bracket(self) -> tuple[float, float]:
        """A rate that holds (0.0 if none does) and a higher one that does not (infinity if all hold)."""
        rate, bounds = self._bounds.start, self._bounds
        if await self.holds(rate):
            while rate < bounds.highest:
                above = min(2 * rate, bounds.highest)
                if not await self.holds(above):
                    return rate, above
                rate = above
            return rate, math.inf
        while rate > bounds.lowest:
            below = max(rate / 2, bounds.lowest)
            if await self.holds(below):
                return below, rate
            rate = below
        return 0.0, rate

    async def holds(self, rate: float) -> bool:
        """Whether the bounds hold at a rate: at once for a run that keeps them or misses widely, else the majority."""
        trial = await self._try(rate)
        if trial.holds or trial.wide:
            return trial.holds
        kept, missed, few = 0, 1, TRIES // 2
        while kept <= few and missed <= few:
            again = await self._try(rate)
            kept, missed = kept + again.holds, missed + (not again.holds)
        return kept > few

    async def _try(self, rate: float) -> Trial:
        result = await self._measure(rate)
        misses, wide = _misses(result, self._bounds)
        self.trials.append(Trial(rate, misses, wide, result))
        return self.trials[-1]


def _misses(result: Result, bounds: Bounds) -> tuple[tuple[str, ...], bool]:
    """Bounds that a result does not keep, and whether by far."""
    total = result.total
    if not total.received:
        return ("nothing was received",), True
    misses, wide = list(verdict_of_limits(result)), False
    p99 = total.intended.percentile(99)
    if p99 > bounds.p99:
        misses.append(f"p99 was {p99 * 1000:.1f} ms, at most {bounds.p99 * 1000:g} ms are asked for")
        wide = p99 > WIDE * bounds.p99
    if total.failed > bounds.failed:
        misses.append(f"{total.failed:.3%} were lost or bounced, at most {bounds.failed:.3%} may be")
        wide = wide or total.failed > WIDE * max(bounds.failed, 0.01)
    return tuple(misses), wide


def _part(trials: list[Trial], rate: float, surroundings: Surroundings) -> tuple[str, str]:
    """What was full in the run that failed next above the rate found."""
    failed = [trial for trial in trials if not trial.holds and trial.rate > rate]
    if not failed:
        return "none", "every rate that was tried held: allow a higher one"
    trial = min(failed, key=lambda trial: trial.rate)
    part, why = limiting_part(trial.result, surroundings)
    return part, f"at {trial.rate:.0f}/s {why}"


def limiting_part(result: Result, surroundings: Surroundings) -> tuple[str, str]:
    """The part that was full in a run, and the sentence that says so. The generator goes first: it hides the rest."""
    if reasons := verdict_of_limits(result):
        return "generator", reasons[0]
    cores = result.cores()
    shares = {name: cores[name] / surroundings.server_cores.get(name, 1.0) for name in result.usage if name in cores}
    if shares and max(shares.values()) >= FULL:
        name = max(shares, key=shares.__getitem__)
        return f"server {name}", f"server {name} used {cores[name]:.2f} cores, {shares[name]:.0%} of what it can use"
    for route, most in surroundings.links.items():
        carried = result.links.get(route, 0) / result.length if result.length else 0.0
        if carried >= FULL * most:
            return f"link {route}", f"link {route} carried {carried / 1000:.1f} of its {most / 1000:.1f} KB/s"
    if sum(cores.values()) >= FULL * surroundings.cores:
        return "machine", f"all together used {sum(cores.values()):.2f} of the machine's {surroundings.cores} cores"
    return "unknown", "no server, link or worker was at its limit: look at what the servers wait for"
