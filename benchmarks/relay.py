"""What a neutral relay costs, beside a bare forwarder on the same loop and beside a direct connection.

    python benchmarks/relay.py

CPU seconds per MB and per 1000 stanzas: each forwarder runs in a process of its own; what is told is that process's CPU
time only. Small writes are paced, since wake-ups dominate at low rates and hide nothing at equal ones. Then the delay
that a relay adds, at paces of real links: direct, through the bare forwarder and through the relay in turn, the same
sender and receiver for all, so that what a busy machine adds is in all of them. `load_relay.py` has the same with real
servers.

Ends with 1 if the relay adds more than 150 µs at the median or 1 ms at p99, or carries less than 5,000 stanzas per
second and core.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop
from _load import Aims

from lab.declarations.links import Conditions
from lab.network.link_shaper import LinkShaper
from lab.network.relay import Relay
from lab.network.target import Target
from lab.plan.model import RelayPlan

ADDRESS, PORT, TARGET = "127.199.0.2", 20000, ("127.199.1.0", 5269)
STANZA = b"<message>" + b"x" * 182 + b"</message>"  # 200 bytes
STANZAS, PACE = 50_000, 5_000  # how many, and how many a second when paced
PACES, ROUNDS, SECONDS = (300, 2_000), 5, 3  # stanzas a second; rounds, and seconds of each
ADDED_MEDIAN, ADDED_P99, CARRIED = 150.0, 1000.0, 5_000.0  # µs, µs, stanzas per second and core
BULK = 512 * 2**20  # bytes

Setup = Callable[[], Awaitable[Any]]


class Bare(asyncio.Protocol):
    """The least a forwarder can do."""

    def __init__(self, partner: Bare | None = None) -> None:
        self.partner, self.early = partner, [b""]

    def connection_made(self, transport: Any) -> None:
        """Dial for the caller."""
        self.transport = transport
        if self.partner is None:
            self.dialling = asyncio.ensure_future(self._dial())
        else:
            self.partner.partner = self
            transport.write(b"".join(self.partner.early))

    async def _dial(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: Bare(self), *TARGET)

    def data_received(self, data: bytes) -> None:
        """Hand on."""
        if self.partner is None:
            self.early.append(data)
        else:
            self.partner.transport.write(data)

    def pause_writing(self) -> None:
        """Hold the other side back."""
        assert self.partner is not None
        self.partner.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let it go on."""
        assert self.partner is not None
        self.partner.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side."""
        if self.partner is not None:
            self.partner.transport.close()


async def bare() -> object:
    """Listen with the bare forwarder."""
    return await asyncio.get_running_loop().create_server(Bare, ADDRESS, PORT)


def relay(conditions: Conditions) -> Setup:
    """Listen with the lab's relay."""

    async def listen() -> object:
        made = Relay(
            RelayPlan("a", "b", PORT, TARGET, conditions),
            ADDRESS,
            Target(TARGET),
            LinkShaper(conditions),
            LinkShaper(Conditions()),
        )
        await made.listen()
        return made

    return listen


def forward(setup: Setup) -> tuple[int, int]:
    """Run a forwarder as a process: its pid and a pipe whose closing ends it and which tells when it listens."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        ours.recv(1)
        return pid, ours.detach()
    ours.close()

    async def run() -> None:
        kept = await setup()
        theirs.send(b"1")
        end = asyncio.Event()
        asyncio.get_running_loop().add_reader(theirs, end.set)
        await end.wait()
        del kept

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    os._exit(0)


def cost(setup: Setup, work: Callable[[], Coroutine[Any, Any, None]]) -> float:
    """CPU seconds of a forwarder while `work` goes through it."""
    pid, pipe = forward(setup)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
    os.close(pipe)
    usage: resource.struct_rusage = os.wait4(pid, 0)[2]
    return usage.ru_utime + usage.ru_stime


class Sink(asyncio.Protocol):
    """Counts bytes; `done` is set when all have come."""

    def __init__(self, expected: int) -> None:
        self.missing, self.done = expected, asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Count."""
        self.missing -= len(data)
        if self.missing <= 0:
            self.done.set()


async def through(size: int, chunk: bytes, pace: int | None) -> None:
    """Send `size` bytes in chunks; returns once all have come out."""
    sink = Sink(size)
    server = await asyncio.get_running_loop().create_server(lambda: sink, *TARGET)
    _, writer = await asyncio.open_connection(ADDRESS, PORT)
    begin = asyncio.get_running_loop().time()
    for number in range(size // len(chunk)):
        writer.write(chunk)
        if pace is not None:
            ahead = begin + number / pace - asyncio.get_running_loop().time()
            if ahead > 0:
                await asyncio.sleep(ahead)
        await writer.drain()
    await sink.done.wait()
    writer.close()
    server.close()


async def one_by_one() -> None:
    """Stanzas as fast as they go, each awaited at the other end: no two share a read."""
    got = asyncio.Event()

    class Each(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            """Say that it came."""
            got.set()

    server = await asyncio.get_running_loop().create_server(Each, *TARGET)
    _, writer = await asyncio.open_connection(ADDRESS, PORT)
    for _ in range(STANZAS):
        writer.write(STANZA)
        await got.wait()
        got.clear()
    writer.close()
    server.close()


async def paced() -> None:
    """Stanzas at PACE a second."""
    await through(STANZAS * len(STANZA), STANZA, PACE)


async def bulk() -> None:
    """Large writes, as many as go."""
    await through(BULK, b"x" * 65536, None)


class Stopwatch(asyncio.Protocol):
    """Reads when each stanza was written, and keeps how long it was under way."""

    def __init__(self, expected: int) -> None:
        self.expected, self.rest, self.done = expected, b"", asyncio.Event()
        self.delays: list[int] = []  # ns

    def data_received(self, data: bytes) -> None:
        """Take the time of whole stanzas."""
        now, data = time.perf_counter_ns(), self.rest + data
        whole = len(data) - len(data) % len(STANZA)
        for at in range(0, whole, len(STANZA)):
            self.delays.append(now - int(data[at + 9 : at + 29]))
        self.rest = data[whole:]
        if len(self.delays) == self.expected:
            self.done.set()


async def time_stanzas(where: tuple[str, int], pace: int) -> list[int]:
    """Delays of the stanzas of SECONDS at that pace, in ns, sorted."""
    watch = Stopwatch(SECONDS * pace)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: watch, *TARGET)
    _, writer = await asyncio.open_connection(*where)
    begin = loop.time()
    for number in range(SECONDS * pace):
        ahead = begin + number / pace - loop.time()
        if ahead > 0:
            await asyncio.sleep(ahead)
        writer.write(b"%s%020d%s" % (STANZA[:9], time.perf_counter_ns(), STANZA[29:]))
        await writer.drain()
    await watch.done.wait()
    writer.close()
    server.close()
    return sorted(watch.delays)


def measure_delays(setup: Setup | None, pace: int) -> tuple[float, float]:
    """Median and p99 in µs, through a forwarder or direct."""
    pid, pipe = (0, 0) if setup is None else forward(setup)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        delays = runner.run(time_stanzas(TARGET if setup is None else (ADDRESS, PORT), pace))
    if setup is not None:
        os.close(pipe)
        os.waitpid(pid, 0)
    return delays[len(delays) // 2] / 1000, delays[len(delays) * 99 // 100] / 1000


def compare_delays(aims: Aims) -> None:
    """Print what forwarders add to the delay, each beside the direct connection of the same round."""
    ways: dict[str, Setup | None] = {"direct": None, "bare forwarder": bare, "relay, neutral": relay(Conditions())}
    for pace in PACES:
        rounds = [{name: measure_delays(setup, pace) for name, setup in ways.items()} for _ in range(ROUNDS)]
        print(f"\n{f'{pace} stanzas a second':24}{'median':>10}{'ratio':>8}{'p99':>10}{'ratio':>8}   (µs)")
        direct = [statistics.median(one["direct"][which] for one in rounds) for which in (0, 1)]
        for name in ways:
            found = [statistics.median(one[name][which] for one in rounds) for which in (0, 1)]
            cells = "".join(f"{value:10.0f}{value / of:8.2f}" for value, of in zip(found, direct, strict=True))
            print(f"{name:24}{cells}")
        for which, label, aim in ((0, "median", ADDED_MEDIAN), (1, "p99", ADDED_P99)):
            added = statistics.median(one["relay, neutral"][which] - one["direct"][which] for one in rounds)
            aims.at_most(f"a relay adds at {pace} a second, {label}, in µs", added, aim)


def main() -> int:
    """Print one line per forwarder; the exit code."""
    aims = Aims()
    print(f"{'':24}{'1000 stanzas paced':>20}{'1000 one by one':>20}{'MB':>12}   (CPU ms)")
    ways: list[tuple[str, Setup]] = [
        ("bare forwarder", bare),
        ("relay, neutral", relay(Conditions())),
        ("relay, 50 ms", relay(Conditions(latency=0.05))),
    ]
    for name, setup in ways:
        small = cost(setup, paced) * 1e6 / STANZAS
        large = cost(setup, bulk) * 1e3 / (BULK / 1e6)
        single = None if "50 ms" in name else cost(setup, one_by_one) * 1e6 / STANZAS
        print(f"{name:24}{small:20.1f}{'-' if single is None else f'{single:.1f}':>20}{large:12.3f}", flush=True)
        if name == "relay, neutral":
            aims.at_least("stanzas per second and core, paced", 1e6 / small, CARRIED)
    compare_delays(aims)
    return int(aims.missed > 0)


if __name__ == "__main__":
    sys.exit(main())
