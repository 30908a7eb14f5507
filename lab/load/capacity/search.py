"""The highest rate that a federation carries within bounds, and the bottleneck that prevents a higher one.

A rate is doubled until the bounds are exceeded (or halved until they are met), then the interval between the two rates
is halved on a logarithmic scale; at the end the rate found has to keep the bounds again. Single runs are noisy near the
limit: a rate that exceeds its bounds by little is tried again, and the majority of three runs decides; a large excess
counts at once. A run in which the generator was the limit says nothing about the servers and does not keep the bounds.

A rate must not be judged on the backlog of the one before. Before each run `wait_until_idle` is awaited: it returns
when the federation is idle, or with the reason why it is not. A run that started with a backlog and keeps the bounds
counts: it had more to carry. One that started with a backlog and exceeds them proves nothing and is repeated, up to
TRIES times; then the search ends with what it has.

Nothing is measured here: `measure` does that (lab.load.capacity.trials has one for a lab).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lab.errors import UserError
from lab.load.analysis.bottleneck import Capacities, find_bottleneck
from lab.load.analysis.thresholds import parse_bounds
from lab.load.metrics.result import Result, find_generator_limits
from lab.load.workload.arrivals import parse_arrivals


@dataclass(frozen=True)
class Measurement:
    """The result of a run, and cores that others used: of "machine" (all of it) and "services" (DNS and relays)."""

    result: Result
    other_cores: Mapping[str, float] = field(default_factory=dict)


Measure = Callable[[float], Awaitable[Measurement]]
WaitUntilIdle = Callable[[], Awaitable[str]]  # "" when the federation is idle, else what is not

#: A bound that is exceeded by this factor is not exceeded by noise: the rate is not tried again.
LARGE_EXCESS = 4.0
#: Runs with the same rate at most; the majority decides.
TRIES = 3
#: Loads of a search at most, of ten to twenty-five that are usual: it ends, however noisy they are.
MAX_TRIALS = 60
#: Rates, each lower than the one before, that may fail the confirmation.
CONFIRMATIONS = 4


@dataclass(frozen=True)
class Bounds:
    """The bounds of a search, and where it looks. Rates are in messages per second."""

    p99: float = 0.1  # seconds from the intended time to the receipt
    failed: float = 0.0  # share of messages lost or bounced, 0 to 1
    start: float = 100.0  # the first rate, messages per second
    lowest: float = 1.0  # messages per second
    highest: float = 100_000.0  # messages per second
    precision: float = 0.05  # the rate found is at most this share below one that exceeds the bounds

    def __post_init__(self) -> None:
        lowest, start, highest = self.lowest, self.start, self.highest
        if 0 < start < lowest:
            raise UserError(f"a search starts at {lowest:g}/s or more, not at {start:g}/s")
        if not 0 < lowest <= start <= highest:
            raise UserError(f"rates must rise from above 0: lowest {lowest:g}, start {start:g}, highest {highest:g}")
        if self.p99 <= 0 or not 0 <= self.failed < 1:
            raise UserError(f"p99 must be above 0 s (is {self.p99:g}), failed a share below 1 (is {self.failed:g})")
        if not 0.001 <= self.precision < 1:
            raise UserError(f"precision is a share from 0.001 to below 1, not {self.precision:g}")


def search_bounds(text: str, start: float | None) -> Bounds:
    """The bounds in "p99=200ms,loss=0", with the rate to start at. Raises UserError."""
    given = parse_bounds(text)
    if left := sorted(set(given) - {"p99", "loss", "failed"}):
        raise UserError(f"--find-limit searches within p99 and loss (lost or bounced), not {', '.join(left)}")
    failed = given.get("failed", given.get("loss", 0.0))
    return Bounds(p99=given.get("p99", Bounds.p99), failed=failed, **({} if start is None else {"start": start}))


def parse_trial_arrivals(text: str | None) -> tuple[str, float | None]:
    """The model of a trial's arrivals, and the rate to start at. Raises UserError for other arrivals."""
    if text is None:
        return "constant", None
    model, _, rest = text.partition(":")
    if model not in ("constant", "poisson") or ":" in rest:
        raise UserError(f"--find-limit chooses the rate: remove --arrivals {text}, or use constant or poisson")
    return model, parse_arrivals(text).find_peak(0.0)


@dataclass(frozen=True)
class Trial:
    """One run of a search."""

    rate: float  # messages per second
    misses: tuple[str, ...]  # bounds that were exceeded, a sentence each
    large_excess: bool  # a bound was exceeded by LARGE_EXCESS
    result: Result
    backlog: str = ""  # what was not idle when it started
    other_cores: Mapping[str, float] = field(default_factory=dict)  # see Measurement

    @property
    def holds(self) -> bool:
        """Whether the run was within all bounds."""
        return not self.misses


@dataclass(frozen=True)
class Limit:
    """The result of a search.

    `bottleneck` is "server NAME", "servers" (together, on the cores that they are pinned to), "link A->B", "services"
    (the lab's relays), "machine", "generator", "backlog" (the federation did not become idle), "interrupted", "unknown"
    or "none" (every rate was within the bounds).
    """

    rate: float  # messages per second: the highest within the bounds, 0.0 if none is
    confirmed: bool  # a second run at that rate was within them, too
    bottleneck: str
    why: str  # a sentence
    trials: tuple[Trial, ...]


async def find_limit(
    measure: Measure,
    bounds: Bounds,
    capacities: Capacities | None = None,
    wait_until_idle: WaitUntilIdle | None = None,
    on_trial: Callable[[Trial], None] = lambda trial: None,
) -> Limit:
    """Search the highest rate. `measure(rate)` runs a load at that rate; it is called about ten to twenty-five times.

    `wait_until_idle` is awaited before each run; without it `measure` must leave the federation idle. `on_trial` is
    called with each trial when it has ended, so that the caller has the trials of a search that is interrupted (see
    `partial_limit`).
    """
    search, low, confirmed = _Search(measure, bounds, wait_until_idle, on_trial), 0.0, False
    try:
        low, high = await search.bracket()
        while low and high / low > 1 + bounds.precision and high < math.inf:
            middle = math.sqrt(low * high)
            low, high = (middle, high) if await search.holds(middle) else (low, middle)
        for _ in range(CONFIRMATIONS):
            if not low or (confirmed := await search.holds(low)):
                break
            low = low / (1 + bounds.precision) if low / (1 + bounds.precision) >= bounds.lowest else 0.0
        if not confirmed:  # `low` was never tried: what is told is a rate that was
            low = max((trial.rate for trial in search.trials if trial.holds and trial.rate <= low), default=0.0)
    except _Ended as ended:
        return build_partial_limit(search.trials, ended.bottleneck, str(ended))
    bottleneck, why = _bottleneck(search.trials, low, capacities or Capacities(), bounds)
    return Limit(low, confirmed, bottleneck, why, tuple(search.trials))


def build_partial_limit(trials: Sequence[Trial], bottleneck: str, why: str) -> Limit:
    """The result of a search that ended early: the highest rate within the bounds until then."""
    held = [trial.rate for trial in trials if trial.holds]
    return Limit(max(held, default=0.0), False, bottleneck, why, tuple(trials))


class _Ended(Exception):
    """The search cannot find more: a rate had a backlog each time that it was tried, or all loads were used."""

    def __init__(self, bottleneck: str, why: str) -> None:
        super().__init__(why)
        self.bottleneck = bottleneck


class _Search:
    def __init__(
        self,
        measure: Measure,
        bounds: Bounds,
        wait_until_idle: WaitUntilIdle | None,
        on_trial: Callable[[Trial], None],
    ) -> None:
        self._measure, self._bounds = measure, bounds
        self._wait_until_idle, self._on_trial = wait_until_idle, on_trial
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
        """Whether a rate is within the bounds: one run that is within or far beyond them decides, else the majority."""
        trial = await self._conclusive(rate)
        if trial.holds or trial.large_excess:
            return trial.holds
        kept, missed, few = 0, 1, TRIES // 2
        while kept <= few and missed <= few:
            again = await self._conclusive(rate)
            kept, missed = kept + again.holds, missed + (not again.holds)
        return kept > few

    async def _conclusive(self, rate: float) -> Trial:
        """A run that started idle, or is within the bounds although it did not. Raises _Ended."""
        for _ in range(TRIES):
            trial = await self._try(rate)
            if trial.holds or not trial.backlog:
                return trial
        raise _Ended(
            "backlog", f"{TRIES} runs at {rate:.0f}/s started with a backlog and are no evidence: {trial.backlog}"
        )

    async def _try(self, rate: float) -> Trial:
        if len(self.trials) == MAX_TRIALS:
            raise _Ended("unknown", f"after {MAX_TRIALS} loads no rate was found that keeps the bounds again and again")
        backlog = await self._wait_until_idle() if self._wait_until_idle is not None else ""
        measured = await self._measure(rate)
        misses, large_excess = _misses(measured.result, self._bounds)
        trial = Trial(rate, misses, large_excess, measured.result, backlog, measured.other_cores)
        self.trials.append(trial)
        self._on_trial(trial)
        return trial


def _misses(result: Result, bounds: Bounds) -> tuple[tuple[str, ...], bool]:
    """The bounds that a result exceeds, and whether one of them by LARGE_EXCESS."""
    total = result.total
    if not total.received:
        return ("nothing was received",), True
    misses, large_excess = list(find_generator_limits(result)), False
    p99 = total.intended.percentile(99)
    if p99 > bounds.p99:
        misses.append(f"p99 was {p99 * 1000:.1f} ms, the bound is {bounds.p99 * 1000:g} ms")
        large_excess = p99 > LARGE_EXCESS * bounds.p99
    if total.failed > bounds.failed:
        misses.append(f"{total.failed:.3%} were lost or bounced, the bound is {bounds.failed:.3%}")
        large_excess = large_excess or total.failed > LARGE_EXCESS * max(bounds.failed, 0.01)
    return tuple(misses), large_excess


def _bottleneck(trials: list[Trial], rate: float, capacities: Capacities, bounds: Bounds) -> tuple[str, str]:
    """The bottleneck of the run with the lowest rate above the one found."""
    failed = [trial for trial in trials if not trial.holds and not trial.backlog and trial.rate > rate]
    if not failed:
        return "none", "every rate that was tried was within the bounds: allow a higher one"
    lowest = min(trial.rate for trial in failed)
    used = next(trial.result.routes for trial in failed if trial.rate == lowest)
    slow = {route: delay for route, delay in capacities.delays.items() if route in used and delay >= bounds.p99}
    if slow and not rate:
        route = max(slow, key=slow.__getitem__)
        return f"link {route}", f"link {route} alone delays by {1000 * slow[route]:g} ms: no rate has a p99 below that"
    named = [find_bottleneck(one.result, capacities, one.other_cores) for one in failed if one.rate == lowest]
    # Of several runs with that rate one in which it is known.
    bottleneck, why = next((one for one in named if one[0] != "unknown"), named[0])
    return bottleneck, f"at {lowest:.0f}/s {why}"
