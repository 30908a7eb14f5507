"""The highest rate that a federation carries within bounds, and which part of it was the limit.

A rate is doubled until it does not hold (or halved until it does), then the two are brought together by bisection of
their ratio; at the end the rate found has to hold again. Single runs are noisy near the limit: a rate that misses its
bounds by little is tried again, and the majority of three decides; a wide miss counts at once. A run in which the
generator was the limit says nothing about the servers and does not hold.

A rate must not be judged on the backlog of the one before: before each run `settle` is awaited, which returns once the
federation is idle, or says why it is not. A run that began with a backlog and holds, holds: it had more to carry. One
that began so and misses proves nothing and is made again, up to TRIES times; then the search ends with what it has.

Nothing is measured here: `measure` does that (lab.load.capacity.trials has one for a lab).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lab.errors import UserError
from lab.load.analysis.bottleneck import Surroundings, limiting_part
from lab.load.metrics.judging import verdict_of_limits
from lab.load.metrics.result import Result


@dataclass(frozen=True)
class Measured:
    """What a run showed, and what else was busy: cores by "machine" (all of it) and "services" (names and relays)."""

    result: Result
    around: Mapping[str, float] = field(default_factory=dict)


Measure = Callable[[float], Awaitable[Measured]]
Settle = Callable[[], Awaitable[str]]  # "" once the federation is idle, else what is not

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
        if 0 < start < lowest:
            raise UserError(f"a search begins at {lowest:g}/s or more, not at {start:g}/s")
        if not 0 < lowest <= start <= highest:
            raise UserError(f"rates must rise from above 0: lowest {lowest:g}, start {start:g}, highest {highest:g}")
        if self.p99 <= 0 or not 0 <= self.failed < 1:
            raise UserError(f"p99 must be above 0 s (is {self.p99:g}), failed a share below 1 (is {self.failed:g})")
        if not 0.001 <= self.precision < 1:
            raise UserError(f"precision is a share from 0.001 to below 1, not {self.precision:g}")


@dataclass(frozen=True)
class Trial:
    """One run."""

    rate: float
    misses: tuple[str, ...]  # bounds that did not hold, a sentence each
    wide: bool  # a miss was beyond noise
    result: Result
    backlog: str = ""  # what was not idle when it began
    around: Mapping[str, float] = field(default_factory=dict)  # see `Measured`

    @property
    def holds(self) -> bool:
        """All bounds held."""
        return not self.misses


@dataclass(frozen=True)
class Limit:
    """What was found.

    `part` is "server NAME", "servers" (together, on the cores that they are pinned to), "link A->B", "services" (the
    lab's relays), "machine", "generator", "backlog" (it never became idle), "interrupted", "unknown" or "none" (every
    rate held).
    """

    rate: float  # the highest that held, 0.0 if none did
    confirmed: bool  # it held once more at the end
    part: str
    why: str
    trials: tuple[Trial, ...]


async def find_limit(
    measure: Measure,
    bounds: Bounds,
    surroundings: Surroundings | None = None,
    settle: Settle | None = None,
    told: Callable[[Trial], None] = lambda trial: None,
) -> Limit:
    """Search. `measure(rate)` runs a load at that rate; it is called about ten to twenty-five times.

    `settle` is awaited before each of them; without one `measure` must leave the federation idle. `told` is called
    with each trial once it is over: it has what there is of a search that is interrupted (see `so_far`).
    """
    search, low, confirmed = _Search(measure, bounds, settle, told), 0.0, False
    try:
        low, high = await search.bracket()
        while low and high / low > 1 + bounds.precision and high < math.inf:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if await search.holds(middle) else (low, middle)
        for _ in range(CONFIRMATIONS):
            if not low or (confirmed := await search.holds(low)):
                break
            low = low / (1 + bounds.precision) if low / (1 + bounds.precision) >= bounds.lowest else 0.0
    except _NeverIdle as error:
        return so_far(search.trials, "backlog", str(error))
    part, why = _part(search.trials, low, surroundings or Surroundings(), bounds)
    return Limit(low, confirmed, part, why, tuple(search.trials))


def so_far(trials: Sequence[Trial], part: str, why: str) -> Limit:
    """What a search found that did not come to its end."""
    held = [trial.rate for trial in trials if trial.holds]
    return Limit(max(held, default=0.0), False, part, why, tuple(trials))


class _NeverIdle(Exception):
    """The federation still had a backlog each time that a rate was tried."""


class _Search:
    def __init__(self, measure: Measure, bounds: Bounds, settle: Settle | None, told: Callable[[Trial], None]) -> None:
        self._measure, self._bounds, self._settle, self._told = measure, bounds, settle, told
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
        trial = await self._clean(rate)
        if trial.holds or trial.wide:
            return trial.holds
        kept, missed, few = 0, 1, TRIES // 2
        while kept <= few and missed <= few:
            again = await self._clean(rate)
            kept, missed = kept + again.holds, missed + (not again.holds)
        return kept > few

    async def _clean(self, rate: float) -> Trial:
        """A run that says something: it began idle, or holds all the same. Raises _NeverIdle."""
        for _ in range(TRIES):
            trial = await self._try(rate)
            if trial.holds or not trial.backlog:
                return trial
        raise _NeverIdle(f"{TRIES} runs at {rate:.0f}/s began with a backlog and say nothing: {trial.backlog}")

    async def _try(self, rate: float) -> Trial:
        backlog = await self._settle() if self._settle is not None else ""
        measured = await self._measure(rate)
        misses, wide = _misses(measured.result, self._bounds)
        trial = Trial(rate, misses, wide, measured.result, backlog, measured.around)
        self.trials.append(trial)
        self._told(trial)
        return trial


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


def _part(trials: list[Trial], rate: float, surroundings: Surroundings, bounds: Bounds) -> tuple[str, str]:
    """What was full in the run that failed next above the rate found."""
    failed = [trial for trial in trials if not trial.holds and not trial.backlog and trial.rate > rate]
    if not failed:
        return "none", "every rate that was tried held: allow a higher one"
    lowest = min(trial.rate for trial in failed)
    used = next(trial.result.routes for trial in failed if trial.rate == lowest)
    slow = {route: delay for route, delay in surroundings.delays.items() if route in used and delay >= bounds.p99}
    if slow and not rate:
        route = max(slow, key=slow.__getitem__)
        return f"link {route}", f"link {route} alone takes {1000 * slow[route]:g} ms: no rate keeps a p99 below that"
    named = [limiting_part(one.result, surroundings, one.around) for one in failed if one.rate == lowest]
    # Of several runs at that rate one that says something.
    part, why = next((one for one in named if one[0] != "unknown"), named[0])
    return part, f"at {lowest:.0f}/s {why}"
