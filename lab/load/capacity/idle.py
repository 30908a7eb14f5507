"""Whether a federation is idle: whether it has processed everything of an earlier load.

It is idle if a probe message over every route (within each server, over each link in both directions) is delivered as
fast as at the start, because it waits behind everything in the queues of its server, and if each server uses about as
much CPU time as at the start. Both are measured before the first load (`IdleDetector.start`), because a link may have a
latency and a server has periodic work.

Not detected: what a server processes only later, such as messages that it stores for users who are offline.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from lab.declarations.load_users import PROBE_USER
from lab.errors import MissingError, PeerError, TimedOut
from lab.lifecycle.lab import Lab
from lab.load.coordinator import provisioning
from lab.load.metrics.resources import ProcessMeter
from lab.load.model.spec import Shard
from lab.load.worker.process import encode

#: A route is idle if a probe takes at most DELAY_FACTOR times as long as at the start, plus DELAY_EXTRA seconds.
DELAY_FACTOR, DELAY_EXTRA = 3.0, 0.05
#: Cores that a server may use more than at the start.
EXTRA_CORES = 0.15
#: Probes at the start; the slowest counts, because a single one can be fast by chance.
FIRST_PROBES = 5
#: Seconds between two readings of CPU time, which the kernel counts in hundredths of a second.
READING_INTERVAL = 0.5
#: Seconds until the probes of an idle lab must be delivered. Connections between servers are opened within it.
START_TIMEOUT = 30.0
_LOGIN_TIMEOUT = 60.0  # seconds


@dataclass
class ProbeResult:
    """The result of one probe message over each route."""

    delays: Mapping[str, float]  # seconds, by route
    missing: tuple[str, ...] = ()  # routes whose probe was not received in time
    bounced: Mapping[str, str] = field(default_factory=dict)  # condition by route


SendProbes = Callable[[float], Awaitable[ProbeResult]]  # with the seconds to wait at most
ReadCpuTime = Callable[[], Mapping[str, float]]  # CPU seconds used until now, by server


class IdleDetector:
    """Detects that a federation is idle: `start` while it is idle, then `wait` until it is idle again."""

    def __init__(self, send_probes: SendProbes, read_cpu_time: ReadCpuTime = lambda: {}) -> None:
        self._send_probes, self._read_cpu_time = send_probes, read_cpu_time
        self.delays: dict[str, float] = {}  # of the idle federation in seconds, by route
        self.cores: dict[str, float] = {}  # of the idle federation, by server
        self._last: tuple[float, Mapping[str, float]] = (0.0, {})

    async def start(self) -> None:
        """Measure the idle federation. Raises TimedOut if a route delivers nothing."""
        result = await self._send_probes(START_TIMEOUT)  # opens the connections between servers
        if failed := [*result.missing, *(f"{route} ({why})" for route, why in result.bounced.items())]:
            routes = ", ".join(failed)
            raise TimedOut(f"{routes}: no message is delivered although there is no load: see the servers' logs")
        self._read_cores()
        for _ in range(FIRST_PROBES):
            result = await self._send_probes(START_TIMEOUT)
            for route, delay in result.delays.items():
                self.delays[route] = max(delay, self.delays.get(route, 0.0))
        await asyncio.sleep(READING_INTERVAL)
        self.cores = self._read_cores()

    async def wait(self, within: float) -> str:
        """Wait until it is idle; returns "", or after `within` seconds what is not idle, as a sentence."""
        deadline = time.monotonic() + within
        while True:
            result = await self._send_probes(max(READING_INTERVAL, deadline - time.monotonic()))
            self._read_cores()
            await asyncio.sleep(READING_INTERVAL)
            busy = self._busy(result)
            if not busy or time.monotonic() >= deadline:
                return f"after {within:.0f} s of waiting {busy}" if busy else ""

    def _busy(self, result: ProbeResult) -> str:
        said = [f"nothing was received over {', '.join(result.missing)}"] if result.missing else []
        said += [f"a message over {route} bounced ({why})" for route, why in result.bounced.items()]
        slow = {
            route: delay
            for route, delay in result.delays.items()
            if delay > DELAY_FACTOR * self.delays.get(route, 0.0) + DELAY_EXTRA
        }
        if slow:
            route = max(slow, key=slow.__getitem__)
            before = 1000 * self.delays.get(route, 0.0)
            said.append(f"a message over {route} took {1000 * slow[route]:.0f} ms, {before:.0f} ms when idle")
        for name, cores in self._read_cores().items():
            if cores > self.cores.get(name, 0.0) + EXTRA_CORES:
                said.append(f"server {name} used {cores:.2f} cores, {self.cores.get(name, 0.0):.2f} when idle")
        return " and ".join(said)

    def _read_cores(self) -> dict[str, float]:
        """Cores that each server used since the last reading."""
        (before, then), (now, used) = self._last, (time.monotonic(), dict(self._read_cpu_time()))
        self._last = now, used
        return {name: (spent - then[name]) / (now - before) for name, spent in used.items() if name in then}


class LabIdleDetector:
    """An IdleDetector for a lab, with a probe process and an account on each server. An async context manager."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._stack = contextlib.AsyncExitStack()
        self._count = 0

    async def __aenter__(self) -> Self:
        """Start the probes and measure the lab, which must be idle. Raises TimedOut, PeerError."""
        try:
            self._detector = await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def wait(self, within: float) -> str:
        """See `IdleDetector.wait`. Raises PeerError if the probe process has ended."""
        return await self._detector.wait(within)

    async def _start(self) -> IdleDetector:
        lab = self._lab
        load = provisioning.build_load(lab, {"users": len(provisioning.find_endpoints(lab.plan))})
        async with asyncio.TaskGroup() as group:
            for endpoint in load.endpoints:
                group.create_task(provisioning.make_accounts_on(lab, endpoint.server, [PROBE_USER]))
        self._pipes = await lab.start_agent(module="lab.load.worker.probe")
        self._stack.push_async_callback(self._close)
        self._pipes.writer.write(encode(load, Shard()).encode())
        await self._event("online", _LOGIN_TIMEOUT)
        detector = IdleDetector(self._send_probes, await self._meter())
        await detector.start()
        return detector

    async def _close(self) -> None:
        await self._pipes.close()

    async def _meter(self) -> ReadCpuTime:
        pids = {name: [one.pid] for name, one in (await self._lab.read_states()).items() if one.pid is not None}
        try:
            meter = self._stack.enter_context(ProcessMeter(pids))
        except MissingError:  # the report of the load says that servers are not metered
            return lambda: {}
        return lambda: {name: cpu for name, (cpu, _) in meter.read().items()}

    async def _send_probes(self, within: float) -> ProbeResult:
        self._count += 1
        order = {"ask": self._count, "patience": within}
        self._pipes.writer.write(json.dumps(order).encode() + b"\n")
        event = await self._event("answer", within + _LOGIN_TIMEOUT)
        return ProbeResult(event["delays"], tuple(event["missing"]), event["bounced"])

    async def _event(self, kind: str, within: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(within):
                line = await self._pipes.reader.readline()
        except TimeoutError:
            raise TimedOut(f"the idle probe of {self._lab.name} did not answer within {within:.0f} s") from None
        event: dict[str, Any] = (
            json.loads(line) if line else {"event": "failed", "message": "it ended without an error"}
        )
        if event["event"] != kind:
            raise PeerError(f"the idle probe of {self._lab.name} failed: {event.get('message', event)}")
        return event
