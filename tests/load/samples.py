"""Samples as a worker would take them, with a clock that the test moves."""

from __future__ import annotations

from typing import Any, NamedTuple

from lab.load.metrics.sample_recorder import SampleRecorder
from lab.load.model.spec import Endpoint, Load, Shard
from lab.load.workload.arrivals import parse_arrivals

LOAD = Load(
    endpoints=(Endpoint("a", "a.lab", "127.0.0.1", neighbours=("b",)), Endpoint("b", "b.lab", "127.0.0.2")),
    users=10,
    password="x",
    authority="",
    arrivals="100/s",
    seconds=4.0,
    warmup=2.0,
)

#: Of one person on each of two servers that nobody runs: for workers that are played.
NOBODYS = Load(
    (Endpoint("a", "a.lab", "127.0.0.1", neighbours=("b",)), Endpoint("b", "b.lab", "127.0.0.2", neighbours=("a",))),
    users=2,
    password="x",
    authority="",
    seconds=5.0,
    warmup=0.0,
)


class Act(NamedTuple):
    """What is drawn, with names."""

    kind: str
    sender: int
    receiver: int
    size: int


class Clock:
    """Stands still unless moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Worker:
    """A recorder with its clock, started at 1000.0."""

    def __init__(self, index: int = 0, of: int = 1, load: Load = LOAD) -> None:
        self.clock = Clock()
        self.warmup = load.warmup
        self.recorder = SampleRecorder(
            load, Shard(index, of), parse_arrivals(load.arrivals).total(load.seconds), clock=self.clock
        )
        self.recorder.start()

    def at(self, elapsed: float) -> SampleRecorder:
        """The recorder, with the clock at a time of the load."""
        self.clock.now = 1000.0 + elapsed
        return self.recorder

    def message(self, elapsed: float, delay: float = 0.01, route: str = "a->b") -> None:
        """A message due, sent 1 ms later, and received `delay` after it was due."""
        warmup = elapsed < self.warmup
        self.at(elapsed + 0.001).record_sent(route, warmup)
        self.at(elapsed + delay).record_received(route, warmup, round(1e6 * delay), round(1e6 * (delay - 0.001)))

    def take(self, elapsed: float) -> dict[str, Any]:
        """A sample at a time of the load; CPU of this process is none of the test's business."""
        return {**self.at(elapsed).take(), "cpu": 0.25}


def steady_run(worker: int = 0, of: int = 1, delay: float = 0.01) -> list[dict[str, Any]]:
    """Samples of six seconds at 100/s, 2 of them warm-up."""
    one, found = Worker(worker, of), []
    for second in range(6):
        for number in range(100 // of):
            one.message(second + number * of / 100, delay)
        one.recorder.lag(0.002)
        found.append(one.take(second + 1.0))
    return found
