"""Whether a federation is idle: told by marked messages and by what servers use, and not before the last one came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from lab.errors import TimedOut
from lab.load.capacity import idle
from lab.load.capacity.idle import IdleDetector, ProbeResult
from lab.load.model.spec import Load
from lab.load.worker import engine
from lab.load.worker.probe import Probe
from tests.load.capacity.slow_queue import SlowQueue, slow_queue
from tests.load.engine_runs import driven
from tests.load.null_server.launch import null_server

#: A message of a load is about as many bytes, of those the line hands on so many a second.
RATE = 40_000.0


@dataclass
class Stub:
    """A federation whose answers and CPU are given; each answer takes no time."""

    answers: list[ProbeResult]
    cores: list[float] = field(default_factory=lambda: [0.0])
    spent: float = 0.0
    looked: float = 0.0
    asked: int = 0

    async def ask(self, patience: float) -> ProbeResult:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def used(self) -> dict[str, float]:
        now = time.monotonic()
        cores = self.cores.pop(0) if len(self.cores) > 1 else self.cores[0]
        self.spent += cores * (now - self.looked)
        self.looked = now
        return {"a": self.spent}


@pytest.fixture(autouse=True)
def short_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "READING_INTERVAL", 0.02)


async def started(stub: Stub) -> IdleDetector:
    found = IdleDetector(stub.ask, stub.used)
    await found.start()
    return found


FAST, SLOW = ProbeResult({"a->b": 0.01}), ProbeResult({"a->b": 2.0})


async def test_a_message_that_is_slow_is_waited_for() -> None:
    stub = Stub([FAST])
    asked = await started(stub)
    stub.answers, before = [SLOW, SLOW, FAST], stub.asked
    assert await asked.wait(60) == ""
    assert stub.asked - before == 3


async def test_a_server_that_is_busy_is_waited_for() -> None:
    stub = Stub([FAST])
    asked = await started(stub)
    stub.cores = [1.0] * 6 + [0.0]
    began = time.monotonic()
    assert await asked.wait(60) == ""
    assert time.monotonic() - began > 2 * idle.READING_INTERVAL


@pytest.mark.parametrize(
    ("answer", "cores", "said"),
    [
        (SLOW, 0.0, "a message over a->b took 2000 ms, 10 ms when idle"),
        (ProbeResult({}, ("a->b",)), 0.0, "nothing was received over a->b"),
        (ProbeResult({}, (), {"a->b": "remote-server-timeout"}), 0.0, "bounced (remote-server-timeout)"),
        (FAST, 0.9, "server a used 0.9"),
    ],
)
async def test_at_the_deadline_it_says_what_is_not_idle(answer: ProbeResult, cores: float, said: str) -> None:
    stub = Stub([FAST])
    asked = await started(stub)
    stub.answers, stub.cores = [answer], [cores]
    told = await asked.wait(0.1)
    assert told.startswith("after 0 s of waiting ")
    assert said in told


async def test_a_link_with_latency_is_idle_at_its_own_delay() -> None:
    stub = Stub([ProbeResult({"a->b": 0.3})])
    asked = await started(stub)
    stub.answers = [ProbeResult({"a->b": 0.5})]
    assert await asked.wait(60) == ""


async def test_a_route_that_carries_nothing_is_said_at_the_start() -> None:
    with pytest.raises(TimedOut, match="a->b: no message is delivered"):
        await started(Stub([ProbeResult({}, ("a->b",))]))


@pytest.fixture
async def behind() -> AsyncIterator[tuple[Load, SlowQueue]]:
    """A load of two servers, and the line before them."""
    with null_server() as null:
        load = null.load("a", "b", users=8, arrivals="600/s", seconds=1.0, warmup=0.0, login_rate=1000.0)
        async with slow_queue(RATE, load.endpoints[0].host, load.endpoints[0].port) as queue:
            yield replace(load, endpoints=tuple(replace(one, port=queue.port) for one in load.endpoints)), queue


async def test_the_backlog_of_a_load_is_waited_for(
    behind: tuple[Load, SlowQueue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load of three times what the line carries is given up long before all has come."""
    monkeypatch.setattr(engine, "DRAIN_TIMEOUT", 0.2)
    load, queue = behind
    probe = Probe(load)
    for session in probe.sessions:
        await session.connect()

    async def ask(patience: float) -> ProbeResult:
        answer = await probe.measure(patience)
        return ProbeResult(answer["delays"], tuple(answer["missing"]), answer["bounced"])

    asked = IdleDetector(ask)
    await asked.start()
    assert set(asked.delays) == {"a", "b", "a->b", "b->a"}
    told = await driven(load)
    assert not told.ended["drained"]
    assert queue.waiting > RATE, "no backlog of a second was left: the test shows nothing"
    assert "nothing was received over" in await asked.wait(0.1)
    assert await asked.wait(120) == ""
    assert queue.waiting < 1000
    for session in probe.sessions:
        session.disconnect()
    await asyncio.sleep(0)
