"""The coordinator: one start for all workers, one result of all, whatever becomes of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import Mock

import pytest

from lab.errors import PeerError, UserError
from lab.load.coordinator import coordinator
from lab.load.coordinator.coordinator import Coordinator, CoordinatorCommands
from lab.load.coordinator.workers import WorkerPool
from lab.load.job_runner import build_sampler
from lab.load.metrics.resources import ResourceSampler
from lab.load.metrics.result import merge
from lab.load.metrics.run_folder import LoadOutcome
from lab.load.model.job import Job
from lab.load.model.spec import Load, Shard
from lab.load.worker.deliveries import Deliveries
from lab.load.workload.recipients import Recipients
from lab.runtime.agent_process import spawn_agent
from lab.runtime.protocol import Pipes
from tests.load.null_server.launch import ROOT, Null, null_server
from tests.load.samples import NOBODYS

QUICK = {"users": 12, "arrivals": "400/s", "seconds": 0.6, "warmup": 0.2, "login_rate": 1000.0}
ALL = ["connected", {"wait": "go"}, "sample", {"wait": "drained"}, "ended"]


@pytest.fixture(scope="module")
def null() -> Iterator[Null]:
    with null_server() as server:
        yield server


@dataclass
class Band:
    """Workers of one coordinator: real ones, or a script each."""

    load: Load
    scripts: list[list[Any]] = field(default_factory=list)
    workers: int = 2
    hold: bool = False
    parts: int = 1
    told: list[dict[str, Any]] = field(default_factory=list)
    pids: list[int] = field(default_factory=list)

    async def play(self, meanwhile: Any = None) -> LoadOutcome:
        commands, left = CoordinatorCommands(self.hold), list(self.scripts)
        count = len(self.scripts) or self.workers

        async def start() -> Pipes:
            words = (
                ["tests.load.coordinator.fake_worker", json.dumps(left.pop(0))] if self.scripts else ["lab.load.worker"]
            )
            pipes = await spawn_agent([sys.executable, "-m", *words], {"PYTHONPATH": str(ROOT)})
            self.pids.append(pipes.pid)
            return pipes

        async def watch(pool: WorkerPool) -> ResourceSampler:
            return ResourceSampler(None, {}, {worker.name: worker.pid for worker in pool.workers}, lambda text: None)

        shards = [Shard(number, count * self.parts) for number in range(count)]
        task = asyncio.create_task(Coordinator(self.load, shards, start, self.told.append, commands, watch).run())
        if meanwhile is not None:
            await meanwhile(self, commands)
        return await task

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.told if event["event"] == kind]

    async def heard(self, kind: str, count: int = 1) -> None:
        async with asyncio.timeout(60):
            while len(self.of(kind)) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def test_what_all_coordinators_use_is_metered_by_the_first() -> None:
    """Or the bytes of a link would count once for each."""
    lab, servers, generators = Mock(), {"a": 1}, {"worker 0": 2}
    first, second = (
        build_sampler(Job("lab", shard=Shard(number, 2)), lab, servers, generators, lambda text: None)
        for number in (0, 1)
    )
    assert (first._lab, first._pids) == (lab, {"servers": servers, "generators": generators})
    assert (second._lab, second._pids) == (None, {"servers": {}, "generators": generators})


@pytest.mark.parametrize("workers", [1, 2, 3])
async def test_workers_together_are_one_load(null: Null, workers: int) -> None:
    band = Band(null.load("a", "b", **QUICK), workers=workers)
    outcome = await band.play()
    assert (outcome.interrupted, outcome.drained, outcome.settled) == ("", True, True)
    total = outcome.result.total
    assert (total.sent, total.received, total.lost) == (240, 240, 0)  # 0.6 s at 400/s, to the message
    assert outcome.result.routes == merge(band.of("sample")).routes
    assert set(outcome.generators) == {f"worker {number}" for number in range(workers)}
    assert all(reading.rss > 1 << 20 for readings in outcome.generators.values() for reading in readings)
    assert band.of("connected")[0]["users"] == 12


async def test_what_nobody_got_is_lost() -> None:
    """Worker 0 wrote three messages of the pair 0 -> 1, worker 1's user got the first and the last."""
    pair = str(1)  # receiver and room 0, sender 0, target 1
    sent = {"event": "ledger", "sent": [[pair, 3]]}
    came = [{"event": "ledger", "came": [[pair, 3]]}, {"event": "ledger", "gaps": [[pair, 1]]}]
    scripts = [[*ALL[:-1], sent, "ended"], [*ALL[:-1], *came, "ended"]]
    band = Band(NOBODYS, scripts)
    outcome = await band.play()
    assert outcome.settled
    assert outcome.result.routes["a->b"].lost == 1
    (missing,) = outcome.missing
    assert (missing["sender"], missing["receiver"], missing["sequence"], missing["warmup"]) == (0, 1, 1, False)
    assert band.of("lost") == [{"event": "lost", "routes": {"a->b": 1}, "missing": outcome.missing}]
    assert not band.of("ledger")


async def test_a_part_hands_its_ledger_on_and_settles_nothing() -> None:
    scripts = [[*ALL[:-1], {"event": "ledger", "sent": [["1", 3]]}, "ended"], ALL]

    async def meanwhile(band: Band, commands: CoordinatorCommands) -> None:
        await band.heard("sample", 2)
        await asyncio.sleep(3 * coordinator.POLL)
        assert not band.of("ledger"), "told that all has come, though others have workers too"
        commands.drained.set()

    band = Band(NOBODYS, scripts, parts=2)
    outcome = await band.play(meanwhile)
    assert not outcome.settled
    assert [event["sent"] for event in band.of("ledger")] == [[["1", 3]]]


async def test_what_a_worker_fails_with_is_raised() -> None:
    with pytest.raises(UserError, match="it cannot be"):
        await Band(NOBODYS, [ALL, ["failed"]]).play()


async def test_a_worker_with_another_clock_is_refused() -> None:
    ahead = {"event": "connected", "users": 1, "at_ns": time.perf_counter_ns() + 3_600_000_000_000}
    with pytest.raises(PeerError, match=r"worker 1 has another clock"):
        await Band(NOBODYS, [ALL, [ahead, {"wait": "go"}]]).play()


async def test_a_worker_that_dies_before_the_start_is_named() -> None:
    with pytest.raises(PeerError, match=r"worker [01] ended before the start"):
        await Band(NOBODYS, [[{"die": True}], ALL]).play()


async def test_a_worker_that_dies_on_the_way_leaves_what_was_measured() -> None:
    dies = ["connected", {"wait": "go"}, "sample", {"die": True}]
    outcome = await Band(NOBODYS, [dies, ALL]).play()
    assert "ended early: it reported no error" in outcome.interrupted
    assert (outcome.drained, outcome.settled) == (False, False)
    assert outcome.result.total.received >= 1


async def test_a_stop_ends_it_with_what_was_measured(null: Null) -> None:
    async def meanwhile(band: Band, commands: CoordinatorCommands) -> None:
        await band.heard("sample", 4)
        commands.stop("enough")

    band = Band(null.load("a", "b", **{**QUICK, "seconds": 60.0}))
    outcome = await band.play(meanwhile)
    assert (outcome.interrupted, outcome.drained, outcome.settled) == ("enough", True, True)
    total = outcome.result.total
    assert 0 < total.sent == total.received < 60 * 400
    assert total.sent / outcome.result.length < 440, "the rate is that of the time until the stop"
    assert outcome.result.unaccounted() == {}


async def test_a_worker_that_somebody_stops_ends_the_load_for_all(null: Null) -> None:
    async def meanwhile(band: Band, commands: CoordinatorCommands) -> None:
        await band.heard("sample", 4)
        os.kill(band.pids[1], signal.SIGTERM)

    band = Band(null.load("a", "b", **{**QUICK, "seconds": 60.0}))
    outcome = await band.play(meanwhile)
    assert (outcome.interrupted, outcome.settled) == ("worker 1 was stopped", True)
    assert outcome.result.total.lost == 0
    assert outcome.result.unaccounted() == {}


async def test_a_stop_before_the_start_leaves_nothing_measured(null: Null) -> None:
    async def meanwhile(band: Band, commands: CoordinatorCommands) -> None:
        await band.heard("connected")
        commands.stop("enough")

    band = Band(null.load("a", "b", **QUICK), hold=True)
    outcome = await band.play(meanwhile)
    assert outcome.interrupted == "enough"
    assert not outcome.result.seconds
    assert not band.of("started")


async def test_held_ones_start_when_told_and_not_before(null: Null) -> None:
    at = 0.0

    async def meanwhile(band: Band, commands: CoordinatorCommands) -> None:
        nonlocal at
        await band.heard("connected")
        assert not band.of("started")
        at = time.time() + 0.5
        commands.start.set_result(time.perf_counter_ns() + 500_000_000)

    band = Band(null.load("a", "b", **QUICK), hold=True)
    outcome = await band.play(meanwhile)
    assert band.of("started")[0]["at"] > at - 0.05
    assert outcome.result.total.received == 240


async def test_workers_that_do_not_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator, "DRAIN_TIMEOUT", 0.2)
    monkeypatch.setattr(coordinator, "END_TIMEOUT", 0.3)
    load = Load(**{**NOBODYS.__dict__, "seconds": 0.5})
    stays = ["connected", {"wait": "go"}, "sample", {"wait": "stop"}]
    outcome = await Band(load, [stays, ALL]).play()
    assert outcome.interrupted == "worker 0 did not end in time"


def test_the_first_message_counts_and_what_was_due_before_does_not() -> None:
    """Workers have one start, to the nanosecond: what was due before it is an earlier load's."""
    writer, reader = (Deliveries(Recipients(NOBODYS), Mock()) for _ in range(2))
    start = time.perf_counter_ns()
    for one in (writer, reader):
        one.start(start, start)
    assert reader.on_delivery(1, writer.register_message(0, 1, start).decode()) is not None
    assert reader.on_delivery(1, writer.register_message(0, 1, start - 1).decode()) is None
    assert reader.delivered == 1
