"""What a load showed: samples of all workers merged, in the steady state and apart from it the warm-up.

`merge` does not care for the order or the grouping of samples: merging parts and adding them up is the same. Rates
are counts over the seconds of the steady state that the workers covered: where it was cut short, up to there, for
nothing is written while a load drains. What the machine spent is added by whoever metered it (`usage`, `links`):
this module only keeps it and relates it.

In the end the books must balance: what was expected was received, lost or bounced, and nothing else (`unaccounted`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lab.errors import UserError
from lab.load.metrics.counters import Tally, together
from lab.load.metrics.histogram import Histogram
from lab.load.worker.recorder import Recorder as Recorder

VERSION = 2  # of the JSON below


class Usage(NamedTuple):
    """A reading of a server's or generator's processes."""

    at: float  # seconds since the start of the warm-up
    cpu: float  # seconds used until then
    rss: int  # bytes resident; memory that processes share is counted for each
    pss: int | None = None  # bytes, shared memory divided among those who share it; None if it was not asked for


@dataclass
class Second:
    """What all workers counted while one second of the load passed, warm-up or not."""

    covered: float = 0.0  # seconds, summed over workers
    judged: float = 0.0  # of these, seconds of the steady state
    tally: Tally = field(default_factory=Tally)
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


@dataclass
class Result:
    """Everything that was measured. `plan` is what every worker was given; empty before the first sample."""

    plan: dict[str, Any] = field(default_factory=dict)
    routes: dict[str, Tally] = field(default_factory=dict)  # steady state
    warmup: dict[str, Tally] = field(default_factory=dict)
    seconds: dict[int, Second] = field(default_factory=dict)  # by whole seconds since the start of the warm-up
    usage: dict[str, list[Usage]] = field(default_factory=dict)  # by server; filled by whoever meters
    links: dict[str, int] = field(default_factory=dict)  # bytes in the steady state by route; only links with a relay

    def add(self, other: Result) -> None:
        """Count all of another one's as well. Raises UserError if it was measured by another plan."""
        if self.plan and other.plan and self.plan != other.plan:
            raise UserError(f"these are results of two different loads: {self.plan} and {other.plan}")
        self.plan = self.plan or other.plan
        for mine, others in ((self.routes, other.routes), (self.warmup, other.warmup)):
            for route, tally in others.items():
                mine.setdefault(route, Tally()).add(tally)
        for number, second in other.seconds.items():
            self.seconds.setdefault(number, Second()).add(second)
        for name, readings in other.usage.items():
            self.usage[name] = sorted([*self.usage.get(name, []), *readings])
        for name, count in other.links.items():
            self.links[name] = self.links.get(name, 0) + count

    @property
    def total(self) -> Tally:
        """All routes of the steady state together."""
        return together(self.routes.values())

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
            if len(inside) > 1:
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
            "usage": {name: [list(reading) for reading in readings] for name, readings in self.usage.items()},
            "links": self.links,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Result:
        """The inverse of `to_json`. Raises UserError if another version of the lab wrote it."""
        if data.get("version") != VERSION:
            raise UserError(f"a result of version {data.get('version')!r}; this lab reads version {VERSION}")
        return cls(
            data["plan"],
            {name: Tally.from_json(tally) for name, tally in data["routes"].items()},
            {name: Tally.from_json(tally) for name, tally in data["warmup"].items()},
            {int(number): _second(second) for number, second in data["seconds"].items()},
            {name: [Usage(*reading) for reading in readings] for name, readings in data["usage"].items()},
            dict(data["links"]),
        )


def merge(samples: Iterable[dict[str, Any]]) -> Result:
    """A result from samples of `Recorder.take`, of any workers and intervals, in any order."""
    result = Result()
    for sample in samples:
        result.add(_one(sample))
    return result


def _one(sample: dict[str, Any]) -> Result:
    steady, warmup = (
        {name: Tally.from_json(data) for name, data in sample[phase].items()} for phase in ("steady", "warmup")
    )
    start, end = sample["from"], sample["to"]
    second = Second(
        end - start,
        sample["judged"],
        together((*steady.values(), *warmup.values())),
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
    tally, lag = Tally.from_json(data["tally"]), Histogram.decode(data["lag"])
    return Second(data["covered"], data["judged"], tally, lag, data["reconnects"], dict(data["cpu"]))
