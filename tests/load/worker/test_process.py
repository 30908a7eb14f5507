"""Workers are processes that speak JSON Lines: they start together, together know all, and report when interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from lab.errors import UserError
from lab.load.metrics.ledger import merge_ledgers
from lab.load.metrics.result import merge
from lab.load.model.spec import Load, Shard
from lab.load.worker.process import WorkerCommands, decode, encode
from tests.load.null_server.launch import Null, null_server

QUICK = {"users": 12, "arrivals": "400/s", "seconds": 0.5, "warmup": 0.2, "login_rate": 1000.0}


class Worker:
    """One as its parent sees it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.events = process, []

    def tell(self, line: str) -> None:
        self.process.stdin.write(line.encode())

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(120):
            while line := await self.process.stdout.readline():
                self.events.append(json.loads(line))
                if self.events[-1]["event"] == kind:
                    return self.events[-1]
        raise AssertionError(self.events)


@contextlib.asynccontextmanager
async def working(*first: str) -> AsyncIterator[list[Worker]]:
    workers = []
    for line in first:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "lab.load.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        workers.append(Worker(process))
        workers[-1].tell(line)
    try:
        yield workers
    finally:
        for worker in workers:
            if worker.process.returncode is None:
                worker.process.stdin.close()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(worker.process.wait(), 30)
            if worker.process.returncode is None:
                worker.process.kill()
                await worker.process.wait()


@pytest.fixture(scope="module")
def null() -> Iterator[Null]:
    with null_server() as server:
        yield server


def test_a_load_travels_as_json(null: Null) -> None:
    load, shard = null.load("a", "b", **QUICK), Shard(1, 3)
    assert decode(encode(load, shard)) == (load, shard)
    for wrong in ("", "[]", "{}", '{"load": {"endpoints": []}, "share": {}}', '{"load": 1}'):
        with pytest.raises(UserError, match="first line"):
            decode(wrong)


@pytest.mark.parametrize("arrivals", ["400/s", "closed:think=20ms"])
async def test_two_workers_start_together_and_together_know_what_came(null: Null, arrivals: str) -> None:
    load = null.load("a", "b", **{**QUICK, "users": 14, "arrivals": arrivals, "traffic": "local+neighbours"})
    async with working(*(encode(load, Shard(index, 2)) for index in range(2))) as workers:
        for worker in workers:
            await worker.until("connected")
        at = time.perf_counter_ns() + 200_000_000
        for worker in workers:
            worker.tell(json.dumps({"go_ns": at}) + "\n")
        while True:
            totals = [(await worker.until("sample"))["totals"] for worker in workers]
            if sum(t["expected"] - t["delivered"] - t["bounced"] for t in totals) == 0 and totals[0]["expected"]:
                break
        for worker in workers:
            worker.tell('{"drained": true}\n')
        ended = [await worker.until("ended") for worker in workers]
        assert [await worker.process.wait() for worker in workers] == [0, 0]
    assert all(end["drained"] for end in ended)
    events = [event for worker in workers for event in worker.events]
    result = merge(event for event in events if event["event"] == "sample")
    total = result.total
    assert (total.received, total.duplicates, total.out_of_order) == (total.sent, 0, 0)
    assert total.sent == 200 if "/s" in arrivals else total.sent >= 14
    entries = (
        {k: event[k] for k in event.keys() & {"sent", "came", "gaps", "bounced"}}
        for event in events
        if event["event"] == "ledger"
    )
    whole = merge_ledgers(entries)
    assert sum(whole.sent.values()) == total.sent + sum(tally.sent for tally in result.warmup.values())
    assert result.unaccounted() == {}
    assert list(whole.list_missing(lambda room: ())) == []


@pytest.mark.parametrize("how", ["end of input", "SIGINT", "SIGTERM"])
async def test_interrupted_it_still_reports(null: Null, how: str) -> None:
    load = null.load(**{**QUICK, "seconds": 60.0})
    async with working(encode(load, Shard())) as (worker,):
        await worker.until("connected")
        worker.tell('{"go_ns": null}\n')
        await worker.until("sample")
        if how.startswith("SIG"):
            worker.process.send_signal(signal.Signals[how])
        else:
            worker.process.stdin.close()
        ended = await worker.until("ended")
        assert await worker.process.wait() == 0
    assert ended["drained"]
    result = merge(event for event in worker.events if event["event"] == "sample")
    assert result.total.received == result.total.sent > 0
    assert result.total.sent / result.length < 440, "the rate is that of the time until the end"
    assert result.unaccounted() == {}


async def test_a_start_is_a_moment_of_the_monotonic_clock_and_late_is_late(null: Null) -> None:
    """An order that comes a second after its time: what was due meanwhile is sent at once, and its delay tells."""
    load = null.load(**{**QUICK, "warmup": 0.0, "seconds": 1.5})
    async with working(encode(load, Shard())) as (worker,):
        connected = await worker.until("connected")
        assert 0 < time.perf_counter_ns() - connected["at_ns"] < 30e9, "one clock for all"
        worker.tell(json.dumps({"go_ns": time.perf_counter_ns() - 1_000_000_000}) + "\n")
        await worker.until("ended")
        assert await worker.process.wait() == 0
    total = merge(event for event in worker.events if event["event"] == "sample").total
    assert total.sent == total.received == 600
    assert total.intended.max > 0.9
    assert total.intended.percentile(60) > total.actual.percentile(60) + 0.1, "written late, and on its way no longer"


@pytest.mark.parametrize("order", ['{"go_ns": 1.5}', '{"go_ns": "soon"}', "now"])
async def test_an_order_that_is_none_is_refused(order: str) -> None:
    with pytest.raises(UserError, match="does not understand"):
        WorkerCommands().handle(order)


@pytest.mark.parametrize(
    ("change", "kind"), [({"password": "wrong"}, "PeerError"), ({"users": 0}, "UserError"), (None, "UserError")]
)
async def test_what_fails_is_told(null: Null, change: dict[str, Any] | None, kind: str) -> None:
    load: Load = replace(null.load(**QUICK), **(change or {}))
    async with working(encode(load, Shard()) if change else "nonsense\n") as (worker,):
        failed = await worker.until("failed")
        assert await worker.process.wait() == 1
    assert failed["kind"] == kind
    assert failed["message"]


async def test_files_are_counted_before() -> None:
    """An ordinary user may have so many open files: the message says how many users that is."""
    with null_server() as null:
        line = encode(null.load(**{**QUICK, "users": 400}), Shard())
        script = (
            "import resource, sys, runpy\nresource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\n"
            "resource.setrlimit = lambda *a: (_ for _ in ()).throw(ValueError('not allowed'))\n"
            "sys.argv = ['worker']\nrunpy.run_module('lab.load.worker', run_name='__main__')"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(process.communicate(line.encode()), 30)
    failed = json.loads(out)
    assert failed["kind"] == "MissingError"
    assert "at most 72 users, or 6 workers" in failed["message"]
