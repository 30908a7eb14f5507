"""The result of a load: the samples of all workers merged, those of the warm-up apart from the steady state.

`merge` gives the same for any order and grouping of samples. Rates are counts over the seconds of the steady state that
the workers covered: where it was interrupted, up to then, since nothing is written while a load drains. Resources
(`usage`, `links`) are measured elsewhere (lab.load.metrics.resources) and only stored and related to the counts here.

At the end every expected receipt must have been received, lost or bounced, and no other (`unaccounted`).

`find_generator_limits` says whether a result describes the servers, or only a generator that was too slow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lab.errors import UserError
from lab.load.metrics.counters import RouteCounters, decode_histogram, sum_counters
from lab.load.metrics.histogram import Histogram

VERSION = 2  # of the JSON below

#: Cores from which on a worker, which is one thread, delays by its own work what it measures.
BUSY = 0.9  # cores
#: The engine sleeps up to a tick; if it checks what is due later than this many ticks, it was too busy.
LATE_TICKS = 4
#: The generator was too slow if it sent less than this share of what was asked for. A random number of arrivals varies
#: by its square root, so that this many square roots are allowed on top.
SENT, ROOTS = 0.98, 3


class Usage(NamedTuple):
    """A reading of a server's or generator's processes."""

    at: float  # seconds since the start of the warm-up
    cpu: float  # seconds used until then
    rss: int  # bytes resident; memory that processes share is counted for each

    def encode(self) -> list[float | int | None]:
        """As a list for JSON. The last element was once the proportional memory, and is null."""
        return [self.at, self.cpu, self.rss, None]

    @classmethod
    def decode(cls, data: Sequence[Any]) -> Usage:
        """The inverse."""
        return cls(*data[:3])


@dataclass
class Second:
    """What all workers counted while one second of the load passed, warm-up or not."""

    covered: float = 0.0  # seconds, summed over workers
    judged: float = 0.0  # of these, seconds of the steady state
    tally: RouteCounters = field(default_factory=RouteCounters)
    lag: Histogram = field(default_factory=Histogram)
    reconnects: int = 0
    cpu: dict[str, float] = field(default_factory=dict)  # by worker, seconds

    def add(self, other: Second) -> None:
        """Count all of another one's as well."""
        self.covered += other.covered
        self.judged += other.judged
        self.tally.add(other.tally)
        self.lag.add(other.lag)
        self.reconnects += other.reconnects
        for name, used in other.cpu.items():
            self.cpu[name] = self.cpu.get(name, 0.0) + used


class Failures(NamedTuple):
    """Messages of the steady state that were lost or bounced, of one route and due in the same tenth of a second."""

    route: str
    kind: str  # "lost", "bounced"
    due: int  # tenths of a second since the start of the warm-up
    messages: int


@dataclass
class Result:
    """Everything that was measured. `plan` is what every worker was given; empty before the first sample."""

    plan: dict[str, Any] = field(default_factory=dict)
    routes: dict[str, RouteCounters] = field(default_factory=dict)  # steady state
    warmup: dict[str, RouteCounters] = field(default_factory=dict)
    seconds: dict[int, Second] = field(default_factory=dict)  # by whole seconds since the start of the warm-up
    usage: dict[str, list[Usage]] = field(default_factory=dict)  # by server; filled by whoever meters
    links: dict[str, int] = field(default_factory=dict)  # bytes in the steady state by route; only links with a relay
    failures: list[Failures] = field(default_factory=list)  # only where it was kept when messages were due

    def add(self, other: Result) -> None:
        """Count all of another one's as well. Raises UserError if it was measured by another plan."""
        if self.plan and other.plan and self.plan != other.plan:
            raise UserError(f"these are results of two different loads: {self.plan} and {other.plan}")
        self.plan = self.plan or other.plan
        for mine, others in ((self.routes, other.routes), (self.warmup, other.warmup)):
            for route, tally in others.items():
                mine.setdefault(route, RouteCounters()).add(tally)
        for number, second in other.seconds.items():
            self.seconds.setdefault(number, Second()).add(second)
        for name, readings in other.usage.items():
            self.usage[name] = sorted([*self.usage.get(name, []), *readings])
        for name, count in other.links.items():
            self.links[name] = self.links.get(name, 0) + count
        self.failures += other.failures

    @property
    def total(self) -> RouteCounters:
        """All routes of the steady state together."""
        return sum_counters(self.routes.values())

    @property
    def steady(self) -> dict[int, Second]:
        """The seconds that lie in the steady state, in part at least, in order."""
        return {number: self.seconds[number] for number in sorted(self.seconds) if self.seconds[number].judged > 0}

    @property
    def length(self) -> float:
        """Seconds of the steady state that were covered: less than planned if the load was interrupted."""
        workers: int = self.plan.get("workers", 1)
        return sum(second.judged for second in self.seconds.values()) / workers

    def unaccounted(self) -> dict[str, int]:
        """Receipts by route of which nobody knows what became, below 0 those counted too often; {} if all add up.

        Asked at the end: while a load runs some are on their way. Routes of the warm-up have "warm-up " before them.
        """
        phases = (("", self.routes), ("warm-up ", self.warmup))
        return {f"{name}{route}": tally.pending for name, of in phases for route, tally in of.items() if tally.pending}

    @property
    def rate(self) -> float:
        """Received per second of the steady state."""
        return self.total.received / self.length if self.length else 0.0

    @property
    def lag(self) -> Histogram:
        """How late the engine looked at what was due, in the steady state."""
        found = Histogram()
        for second in self.steady.values():
            found.add(second.lag)
        return found

    @property
    def reconnects(self) -> int:
        """Connections that were made again, warm-up included."""
        return sum(second.reconnects for second in self.seconds.values())

    def used(self) -> dict[str, float]:
        """CPU seconds spent in the steady state, by server and worker."""
        found: dict[str, float] = {}
        for second in self.steady.values():
            share = second.judged / second.covered  # 1 but for a second in which the steady state begins or ends
            for name, spent in second.cpu.items():
                found[name] = found.get(name, 0.0) + spent * share
        for name, readings in self.usage.items():
            inside = self._inside(readings)
            if len(inside) > 1 and inside[-1].at > inside[0].at:
                # Readings lie inside the steady state; what it spent before the first and after the last is alike.
                share = self.length / (inside[-1].at - inside[0].at)
                found[name] = (inside[-1].cpu - inside[0].cpu) * max(1.0, share)
        return found

    def cores(self) -> dict[str, float]:
        """Cores kept busy in the steady state, on average, by server and worker: 1.0 is one core."""
        return {name: spent / self.length for name, spent in self.used().items() if self.length}

    def cost(self) -> dict[str, float]:
        """CPU seconds per 1000 messages received, by server and worker."""
        received = self.total.received
        return {name: 1000 * spent / received for name, spent in self.used().items()} if received else {}

    def _inside(self, readings: list[Usage]) -> list[Usage]:
        start = self.plan.get("warmup", 0.0)
        end = start + self.length  # once: it looks at every second
        return [one for one in readings if start <= one.at <= end]

    def to_json(self) -> dict[str, Any]:
        """As JSON to be kept; `from_json` reads it."""
        return {
            "version": VERSION,
            "plan": self.plan,
            "routes": {name: tally.to_json() for name, tally in self.routes.items()},
            "warmup": {name: tally.to_json() for name, tally in self.warmup.items()},
            "seconds": {str(number): _second_json(self.seconds[number]) for number in sorted(self.seconds)},
            "usage": {name: [reading.encode() for reading in readings] for name, readings in self.usage.items()},
            "links": self.links,
            "failures": [list(one) for one in self.failures],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """The inverse of `to_json`. Raises UserError if another version of the lab wrote it."""
        if data.get("version") != VERSION:
            raise UserError(f"a result of version {data.get('version')!r}; this lab reads version {VERSION}")
        return cls(
            data["plan"],
            {name: RouteCounters.from_json(tally) for name, tally in data["routes"].items()},
            {name: RouteCounters.from_json(tally) for name, tally in data["warmup"].items()},
            {int(number): _second(second) for number, second in data["seconds"].items()},
            {name: [Usage.decode(reading) for reading in readings] for name, readings in data["usage"].items()},
            dict(data["links"]),
            [Failures(*one) for one in data.get("failures", [])],
        )


def find_generator_limits(result: Result) -> tuple[str, ...]:
    """Why the generator was the limit: sentences with figures and what to do, () if it was not."""
    reasons = []
    if not result.length:
        return ("the steady state was not reached: there is nothing to judge",)
    for name, cores in sorted(result.cores().items()):
        if name.startswith("worker ") and cores >= BUSY:
            reasons.append(f"{name} used {cores:.2f} of its core: use more workers or a lower rate")
    late, tick = result.lag.percentile(99), result.plan["tick"]
    if late > LATE_TICKS * tick:
        reasons.append(
            f"the generator was {late * 1000:.1f} ms late in 1 % of its ticks of {tick * 1000:g} ms, and delays from "
            "the intended time hold that: use more workers, a lower rate, or a separate core for the generator"
        )
    if reason := describe_too_few_sent(result):
        reasons.append(f"{reason}: use more workers or a lower rate")
    return tuple(reasons)


def describe_too_few_sent(result: Result) -> str:
    """How many messages were sent of how many, if these were too few to be the load that was asked for; else ""."""
    if not result.length:
        return ""
    expected, sent = result.plan["expected"], result.total.sent
    complete = result.length >= SENT * result.plan["seconds"]
    few = expected and complete and sent < SENT * expected - ROOTS * math.sqrt(expected)
    return f"{sent} of {expected:.0f} requested messages were sent" if few else ""


def merge(samples: Iterable[dict[str, Any]]) -> Result:
    """A result from samples (lab.load.metrics.sample_recorder) of any workers and intervals, in any order."""
    result = Result()
    for sample in samples:
        result.add(_one(sample))
    return result


def _one(sample: dict[str, Any]) -> Result:
    steady, warmup = (
        {name: RouteCounters.from_json(data) for name, data in sample[phase].items()} for phase in ("steady", "warmup")
    )
    start, end = sample["from"], sample["to"]
    second = Second(
        end - start,
        sample["judged"],
        sum_counters((*steady.values(), *warmup.values())),
        Histogram(sample["lag"]),
        sample["reconnects"],
        {f"worker {sample['worker']}": sample["cpu"]},
    )
    # An interval counts as the second in which its middle lies.
    return Result(sample["plan"], steady, warmup, {int((start + end) / 2): second})


def _second_json(second: Second) -> dict[str, Any]:
    return {
        "covered": second.covered,
        "judged": second.judged,
        "tally": second.tally.to_json(),
        "lag": second.lag.encode(),
        "reconnects": second.reconnects,
        "cpu": second.cpu,
    }


def _second(data: dict[str, Any]) -> Second:
    tally, lag = RouteCounters.from_json(data["tally"]), decode_histogram(data["lag"])
    return Second(data["covered"], data["judged"], tally, lag, data["reconnects"], dict(data["cpu"]))
