"""Whether a federation is idle: nothing of an earlier load is left in it.

Two things tell. A marked message over every route (within each server, over each link in both directions) comes as
fast as it did at the start: it stands behind all that waits in its server's queues. And each server uses hardly more of
a core than at the start. What counts as fast and as hardly more is measured before the first load (`Quiet.start`), for
a link may have a latency, and a server housekeeping.

Not seen: what a server has put off altogether, such as messages kept for people who are away.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from lab.errors import MissingError, PeerError, TimedOut
from lab.lifecycle.lab import Lab
from lab.load.coordinator import provisioning as preparing
from lab.load.metrics.resources import Meter
from lab.load.model.spec import Shard
from lab.load.worker import probe
from lab.load.worker.process import encode

#: A route is quiet when a message takes at most so many times what it took at the start, and so many seconds more.
TIMES, MORE = 3.0, 0.05
#: Cores that a server may use beyond what it used at the start.
CORES = 0.15
#: Questions at the start; the slowest answer counts, for one is quick by chance.
FIRST = 5
#: Seconds between two looks: CPU time comes in hundredths of a second, so a look is that sure of a core's share.
LOOK = 0.5
#: Seconds until a lab that carries nothing has to answer everywhere. A link that was never used is made first.
BEGIN = 30.0
_LOGIN = 60.0  # seconds


@dataclass
class Answer:
    """How long each route took (seconds); those on which nothing came in time, and those that refuse."""

    delays: Mapping[str, float]
    missing: tuple[str, ...] = ()
    bounced: Mapping[str, str] = field(default_factory=dict)


Ask = Callable[[float], Awaitable[Answer]]  # with the seconds to wait at most
Used = Callable[[], Mapping[str, float]]  # CPU seconds used so far, by server


class Quiet:
    """The condition: `start` while the federation is idle, then `wait` until it is so again."""

    def __init__(self, ask: Ask, used: Used = lambda: {}) -> None:
        self._ask, self._used = ask, used
        self.delays: dict[str, float] = {}  # of the idle federation, by route
        self.cores: dict[str, float] = {}  # by server
        self._last: tuple[float, Mapping[str, float]] = (0.0, {})

    async def start(self) -> None:
        """Learn what idle is. Raises TimedOut if a route carries nothing."""
        answer = await self._ask(BEGIN)  # makes the connections between servers
        if silent := [*answer.missing, *(f"{route} ({why})" for route, why in answer.bounced.items())]:
            raise TimedOut(f"nothing comes over {', '.join(silent)} though no load is on: look at the servers' logs")
        self._look()
        for _ in range(FIRST):
            answer = await self._ask(BEGIN)
            for route, delay in answer.delays.items():
                self.delays[route] = max(delay, self.delays.get(route, 0.0))
        await asyncio.sleep(LOOK)
        self.cores = self._look()

    async def wait(self, within: float) -> str:
        """Return "" once it is idle, or after `within` seconds what is not, as a sentence."""
        deadline = time.monotonic() + within
        while True:
            answer = await self._ask(max(LOOK, deadline - time.monotonic()))
            self._look()
            await asyncio.sleep(LOOK)
            busy = self._busy(answer)
            if not busy or time.monotonic() >= deadline:
                return f"after {within:.0f} s of waiting {busy}" if busy else ""

    def _busy(self, answer: Answer) -> str:
        said = [f"nothing had come over {', '.join(answer.missing)}"] if answer.missing else []
        said += [f"a message over {route} bounced ({why})" for route, why in answer.bounced.items()]
        slow = {
            route: delay for route, delay in answer.delays.items() if delay > TIMES * self.delays.get(route, 0.0) + MORE
        }
        if slow:
            route = max(slow, key=slow.__getitem__)
            before = 1000 * self.delays.get(route, 0.0)
            said.append(f"a message over {route} took {1000 * slow[route]:.0f} ms, {before:.0f} ms when idle")
        for name, cores in self._look().items():
            if cores > self.cores.get(name, 0.0) + CORES:
                said.append(f"server {name} used {cores:.2f} cores, {self.cores.get(name, 0.0):.2f} when idle")
        return " and ".join(said)

    def _look(self) -> dict[str, float]:
        """Cores that each server kept busy since the last look."""
        (before, then), (now, used) = self._last, (time.monotonic(), dict(self._used()))
        self._last = now, used
        return {name: (spent - then[name]) / (now - before) for name, spent in used.items() if name in then}


class LabQuiet:
    """The condition on a lab, asked by people of its own. Use as a context."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._stack = contextlib.AsyncExitStack()
        self._asked = 0

    async def __aenter__(self) -> Self:
        """The lab must be idle. Raises TimedOut, PeerError."""
        try:
            self._quiet = await self._begun()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def wait(self, within: float) -> str:
        """See `Quiet.wait`. Raises PeerError if the people who ask are gone."""
        return await self._quiet.wait(within)

    async def _begun(self) -> Quiet:
        lab = self._lab
        load = preparing.load_on(lab, {})
        async with asyncio.TaskGroup() as group:
            for endpoint in load.endpoints:
                group.create_task(lab.accounts(endpoint.server, [probe.USER]))
        self._pipes = await lab.agent(module="lab.load.worker.probe")
        self._stack.push_async_callback(self._close)
        self._pipes.writer.write(encode(load, Shard()).encode())
        await self._heard("online", _LOGIN)
        quiet = Quiet(self._ask, await self._meter())
        await quiet.start()
        return quiet

    async def _close(self) -> None:
        await self._pipes.close()

    async def _meter(self) -> Used:
        pids = {name: [one.pid] for name, one in (await self._lab.states()).items() if one.pid is not None}
        try:
            meter = self._stack.enter_context(Meter(pids))
        except MissingError:  # the load says that servers are not metered
            return lambda: {}
        return lambda: {name: cpu for name, (cpu, _, _) in meter.read().items()}

    async def _ask(self, patience: float) -> Answer:
        self._asked += 1
        order = {"ask": self._asked, "patience": patience}
        self._pipes.writer.write(json.dumps(order).encode() + b"\n")
        event = await self._heard("answer", patience + _LOGIN)
        return Answer(event["delays"], tuple(event["missing"]), event["bounced"])

    async def _heard(self, kind: str, patience: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(patience):
                line = await self._pipes.reader.readline()
        except TimeoutError:
            raise TimedOut(f"those who ask whether {self._lab.name} is idle say nothing for {patience:.0f} s") from None
        event: dict[str, Any] = (
            json.loads(line) if line else {"event": "failed", "message": "they ended without a word"}
        )
        if event["event"] != kind:
            raise PeerError(f"nobody can say whether {self._lab.name} is idle: {event.get('message', event)}")
        return event
