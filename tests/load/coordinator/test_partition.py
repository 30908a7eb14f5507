"""Several coordinators: one start, one end, one result, in which what went from one part to another is counted once."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.errors import UserError
from lab.load.coordinator.coordinator import Coordinator, CoordinatorCommands
from lab.load.coordinator.partition import PartialResults
from lab.load.coordinator.workers import WorkerPool
from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.resources import ResourceSampler
from lab.load.metrics.run_folder import RunWriter
from lab.load.model.job import Job
from lab.load.model.spec import Shard
from lab.runtime.agent_process import spawn_agent
from lab.runtime.protocol import Pipes
from tests.load.coordinator import fake_worker
from tests.load.null_server.launch import ROOT, Null, null_server
from tests.load.samples import NOBODYS

QUICK = {"users": 13, "arrivals": "400/s", "seconds": 0.6, "warmup": 0.2, "login_rate": 1000.0}
PAIR = "1"  # of user 0, who is part 0's, and user 1, who is part 1's: flags and sender 0, target 1
RESULT = {"event": "result", "interrupted": "", "drained": True, "whole": True, "missing": [], "generators": {}}


@pytest.fixture(scope="module")
def null() -> Iterator[Null]:
    with null_server() as server:
        yield server


def sample(worker: int, sent: int = 0, received: int = 0, until: float = 1.0) -> dict[str, Any]:
    """A worker's first second, in which so many messages went and came."""
    tally = RouteCounters()
    tally.sent, tally.received = sent, received
    totals = {"expected": sent, "delivered": received, "bounced": 0, "requests": 0, "online": 1}
    return {**fake_worker.sample(worker, until), "steady": {"a->b": tally.sample()}, "totals": totals}


def result(**more: Any) -> dict[str, Any]:
    metered = {"usage": {}, "links": {}, **more.pop("metered", {})}
    return {**RESULT, "result": metered, **more}


def parts(told: list[dict[str, Any]] | None = None) -> PartialResults:
    return PartialResults(NOBODYS, 2, 1, [].append if told is None else told.append)


def test_what_goes_from_one_part_to_another_is_sent_by_one_and_received_or_lost_by_the_other() -> None:
    told: list[dict[str, Any]] = []
    both = parts(told)
    both.on_event(0, sample(0, sent=3))
    both.on_event(1, sample(1, received=2))
    both.on_event(0, {"event": "ledger", "worker": 0, "sent": [[PAIR, 3]]})
    both.on_event(1, {"event": "ledger", "worker": 1, "came": [[PAIR, 3]]})
    both.on_event(1, {"event": "ledger", "worker": 1, "gaps": [[PAIR, 1]]})
    both.on_event(0, result())
    assert not both.ended
    both.on_event(1, result())
    assert both.ended
    outcome = both.outcome()
    total = outcome.result.total
    assert (total.sent, total.received, total.lost) == (3, 2, 1)
    assert outcome.settled and outcome.drained and not outcome.interrupted
    (missing,) = outcome.missing
    assert (missing["sender"], missing["receiver"], missing["sequence"]) == (0, 1, 1)
    assert [event["routes"] for event in told if event["event"] == "lost"] == [{"a->b": 1}]
    assert not [event for event in told if event["event"] == "ledger"]


def test_with_a_part_that_is_gone_nothing_is_said_to_be_lost() -> None:
    """Its people may have got everything: it could not say so any more."""
    told: list[dict[str, Any]] = []
    both = parts(told)
    both.on_event(0, sample(0, sent=3))
    both.on_event(0, {"event": "ledger", "worker": 0, "sent": [[PAIR, 3]]})
    both.on_lost(1, "part 2 is gone")
    assert both.incomplete
    both.on_event(0, result(interrupted="it received the command to stop"))
    outcome = both.outcome()
    assert both.ended and not outcome.settled and outcome.interrupted == "part 2 is gone"
    assert (outcome.result.total.sent, outcome.result.total.lost) == (3, 0)
    assert "lost" not in {event["event"] for event in told}


def test_a_part_of_which_a_worker_died_is_not_whole() -> None:
    both = parts()
    both.on_event(0, result(whole=False, drained=False, interrupted="worker 0 ended early"))
    assert both.incomplete
    both.on_event(1, result())
    assert not both.outcome().settled


def test_all_has_come_when_all_parts_together_have_what_was_written() -> None:
    both = parts()
    both.on_event(0, sample(0, sent=3))
    assert not both.all_received(0.5), "part 2 has said nothing yet"
    both.on_event(1, sample(1, received=2))
    assert not both.all_received(0.5)
    both.on_event(1, sample(1, received=3))
    assert both.all_received(0.5)
    assert not both.all_received(1.5), "more may have been written"


def test_one_course_is_told() -> None:
    told: list[dict[str, Any]] = []
    both = parts(told)
    for part in (0, 1):
        both.on_event(part, {"event": "note", "text": "links are direct"})
        both.on_event(part, {"event": "progress", "text": "making accounts"})
        both.on_event(part, {"event": "progress", "online": 1, "users": 2})
        assert not both.connected
        both.on_event(part, {"event": "connected", "users": 1})
    for part in (0, 1):
        both.on_event(part, {"event": "started", "at": 1.0, "seconds": 5.0, "warmup": 0.0})
    assert both.connected and both.started
    assert [event.get("text", event["event"]) for event in told] == [
        "links are direct", "making accounts", "progress", "progress", "connected", "started",
    ]  # fmt: skip
    assert [event["online"] for event in told if "online" in event] == [1, 2]
    assert told[-2]["users"] == 2


def test_the_first_failure_counts() -> None:
    both = parts()
    for part in (0, 1):
        both.on_event(part, {"event": "failed", "kind": "UserError", "message": f"it cannot be, says {part}"})
    assert both.ended and isinstance(both.failure, UserError)
    assert str(both.failure) == "it cannot be, says 0"


def test_what_parts_metered_is_in_the_result() -> None:
    both = parts()
    metered = {"usage": {"a": [[0.0, 1.0, 5, None]]}, "links": {"a->b": 7}}
    both.on_event(0, result(metered=metered, generators={"worker 0": [[0.0, 1.0, 5, None]]}))
    both.on_event(1, result(generators={"worker 1": [[0.0, 2.0, 6, None]]}))
    outcome = both.outcome()
    assert [reading.cpu for reading in outcome.result.usage["a"]] == [1.0]
    assert outcome.result.links == {"a->b": 7}
    assert {name: one[0].cpu for name, one in outcome.generators.items()} == {"worker 0": 1.0, "worker 1": 2.0}


@pytest.mark.parametrize(("count", "workers"), [(2, 1), (3, 1), (2, 2)])
async def test_coordinators_together_are_one_load(null: Null, count: int, workers: int) -> None:
    """Thirteen people do not divide evenly, and still everybody is somebody's, and nobody two's."""
    load = null.load("a", "b", **QUICK)
    told: list[dict[str, Any]] = []
    all_of_them = PartialResults(load, count, workers, told.append)
    commands = [CoordinatorCommands(hold=True) for _ in range(count)]
    until = float("inf")

    def hear(part: int, event: dict[str, Any]) -> None:
        nonlocal until
        all_of_them.on_event(part, json.loads(json.dumps(event)))
        if all_of_them.connected and until == float("inf"):
            until = load.warmup + load.seconds + 0.1
            at = time.perf_counter_ns() + 300_000_000
            for one in commands:
                one.start.set_result(at)
        if all_of_them.all_received(until):
            for one in commands:
                one.drained.set()

    async def start() -> Pipes:
        return await spawn_agent([sys.executable, "-m", "lab.load.worker"], {"PYTHONPATH": str(ROOT)})

    async def watch(pool: WorkerPool) -> ResourceSampler:
        return ResourceSampler(None, {}, {worker.name: worker.pid for worker in pool.workers}, lambda text: None)

    async def coordinated(part: int) -> None:
        job = Job("nobody's", workers=workers, shard=Shard(part, count))

        def tell(event: dict[str, Any]) -> None:
            hear(part, event)

        outcome = await Coordinator(load, job.list_shards(), start, tell, commands[part], watch).run()
        assert outcome.whole and not outcome.settled
        tell(RunWriter(job).finish(outcome))

    async with asyncio.timeout(120):
        await asyncio.gather(*(coordinated(part) for part in range(count)))
    outcome = all_of_them.outcome()
    total = outcome.result.total
    assert (total.sent, total.received, total.lost) == (240, 240, 0)  # 0.6 s at 400/s, to the message
    assert outcome.settled and outcome.drained and not outcome.interrupted
    assert set(outcome.generators) == {f"worker {number}" for number in range(count * workers)}
    assert [event for event in told if event["event"] == "connected"] == [{"event": "connected", "users": 13}]
    assert told[-1]["event"] == "lost" and told[-1]["routes"] == {}
    assert not {event["event"] for event in told} & {"result", "failed"}
