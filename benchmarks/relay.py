"""What a neutral relay costs, beside a bare forwarder on the same loop and beside a direct connection.

    python benchmarks/relay.py

CPU seconds per MB and per 1000 stanzas: each forwarder runs in a process of its own; what is told is that process's CPU
time only. Small writes are paced, since wake-ups dominate at low rates and hide nothing at equal ones.

Then the delay that a relay adds, at paces of real links. Stanzas are sent in turn over a direct connection, through the
bare forwarder and through the relay, all three open at the same time: what a busy machine adds is in all of them. Where
even the bare forwarder adds more than the aim, the machine keeps a woken process waiting for longer than that: then the
relay is judged beside the bare forwarder. `load_relay.py` has the same with real servers.

Ends with 1 if the relay adds more than 150 µs at the median or 1 ms at p99, or carries less than 5,000 stanzas per
second and core, or where that cannot be told.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import uvloop
from _forwarder import Forwarder, Setup, bare
from _load import Aims

from lab.declarations.links import Conditions
from lab.network.link_shaper import LinkShaper
from lab.network.relay import Relay
from lab.network.target import Target
from lab.plan.model import RelayPlan

ADDRESS, TARGET = "127.199.0.2", ("127.199.1.0", 5269)
BARE, RELAY = (ADDRESS, 20001), (ADDRESS, 20000)
STANZA = b"<message>" + b"x" * 182 + b"</message>"  # 200 bytes
STANZAS, PACE = 20_000, 5_000  # how many, and how many a second when paced
PACES, ROUNDS, SECONDS = (300, 2_000), 6, 5  # stanzas a second and way; rounds, and seconds of each
ADDED_MEDIAN, ADDED_P99, CARRIED = 150.0, 1000.0, 5_000.0  # µs, µs, stanzas per second and core
PATIENCE = 60  # seconds until all stanzas have come
BULK = 512 * 2**20  # bytes


def relay(conditions: Conditions) -> Setup:
    """Listen with the lab's relay."""

    async def listen() -> object:
        made = Relay(
            RelayPlan("a", "b", RELAY[1], TARGET, conditions),
            ADDRESS,
            Target(TARGET),
            LinkShaper(conditions),
            LinkShaper(Conditions()),
        )
        await made.listen()
        return made

    return listen


#: Through what stanzas go, and where that listens; direct first.
WAYS: dict[str, tuple[Setup | None, tuple[str, int]]] = {
    "direct": (None, TARGET),
    "bare forwarder": (bare((BARE, TARGET)), BARE),
    "relay, neutral": (relay(Conditions()), RELAY),
}


def cost(way: str, setup: Setup, work: Callable[[tuple[str, int]], Coroutine[Any, Any, None]]) -> float:
    """CPU seconds of a forwarder while `work` goes through it."""
    forwarder = Forwarder(setup)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work(BARE if way == "bare forwarder" else RELAY))
    return forwarder.end()


class Sink(asyncio.Protocol):
    """Counts bytes; `done` is set when all have come."""

    def __init__(self, expected: int) -> None:
        self.missing, self.done = expected, asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Count."""
        self.missing -= len(data)
        if self.missing <= 0:
            self.done.set()


async def through(where: tuple[str, int], size: int, chunk: bytes, pace: int | None) -> None:
    """Send `size` bytes in chunks; returns once all have come out."""
    sink = Sink(size)
    server = await asyncio.get_running_loop().create_server(lambda: sink, *TARGET)
    _, writer = await asyncio.open_connection(*where)
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


async def one_by_one(where: tuple[str, int]) -> None:
    """Stanzas as fast as they go, each awaited at the other end: no two share a read."""
    got = asyncio.Event()

    class Each(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            """Say that it came."""
            got.set()

    server = await asyncio.get_running_loop().create_server(Each, *TARGET)
    _, writer = await asyncio.open_connection(*where)
    for _ in range(STANZAS):
        writer.write(STANZA)
        await got.wait()
        got.clear()
    writer.close()
    server.close()


async def paced(where: tuple[str, int]) -> None:
    """Stanzas at PACE a second."""
    await through(where, STANZAS * len(STANZA), STANZA, PACE)


async def bulk(where: tuple[str, int]) -> None:
    """Large writes, as many as go."""
    await through(where, BULK, b"x" * 65536, None)


class Stopwatch(asyncio.Protocol):
    """Reads when each stanza was written and over which way, and keeps how long it was under way."""

    def __init__(self, delays: list[list[int]], expected: int, done: asyncio.Event) -> None:
        self.delays, self.rest = delays, b""  # ns
        self.expected, self.done = expected, done

    def data_received(self, data: bytes) -> None:
        """Take the time of whole stanzas."""
        now, data = time.perf_counter_ns(), self.rest + data
        whole = len(data) - len(data) % len(STANZA)
        for at in range(0, whole, len(STANZA)):
            self.delays[data[at + 9] - ord("0")].append(now - int(data[at + 10 : at + 30]))
        self.rest = data[whole:]
        if sum(map(len, self.delays)) == self.expected:
            self.done.set()


async def time_stanzas(pace: int, order: Sequence[int]) -> list[list[int]]:
    """Delays of the stanzas of SECONDS at that pace for each of the WAYS, sent in that order; in ns, sorted."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    rate = pace * len(WAYS)
    count = SECONDS * rate
    delays: list[list[int]] = [[] for _ in WAYS]
    server = await loop.create_server(lambda: Stopwatch(delays, count, done), *TARGET)
    writers = [(await asyncio.open_connection(*where))[1] for _, where in WAYS.values()]
    begin = loop.time()
    for number in range(count):
        ahead = begin + number / rate - loop.time()
        if ahead > 0:
            await asyncio.sleep(ahead)
        way = order[number % len(WAYS)]
        writers[way].write(b"%s%d%020d%s" % (STANZA[:9], way, time.perf_counter_ns(), STANZA[30:]))
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    for writer in writers:
        writer.close()
    server.close()
    return [sorted(one) for one in delays]


def measure_delays(pace: int, order: Sequence[int]) -> dict[str, tuple[float, float]]:
    """Median and p99 of each way in µs."""
    forwarders = [Forwarder(setup) for setup, _ in WAYS.values() if setup is not None]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(time_stanzas(pace, order))
    for one in forwarders:
        one.end()
    return {
        name: (delays[len(delays) // 2] / 1000, delays[len(delays) * 99 // 100] / 1000)
        for name, delays in zip(WAYS, found, strict=True)
    }


def compare_delays(aims: Aims) -> None:
    """Print what forwarders add to the delay of a direct connection, and judge the relay's."""
    for pace in PACES:
        rounds = [measure_delays(pace, (0, 1, 2) if number % 2 else (0, 2, 1)) for number in range(ROUNDS)]
        print(f"\n{f'{pace} stanzas a second':24}{'median':>10}{'ratio':>8}{'p99':>10}{'ratio':>8}   (µs)")
        direct = [statistics.median(one["direct"][which] for one in rounds) for which in (0, 1)]
        for name in WAYS:
            found = [statistics.median(one[name][which] for one in rounds) for which in (0, 1)]
            cells = "".join(f"{value:10.0f}{value / of:8.2f}" for value, of in zip(found, direct, strict=True))
            print(f"{name:24}{cells}")
        for which, label, aim in ((0, "median", ADDED_MEDIAN), (1, "p99", ADDED_P99)):
            by_round = ([one[way][which] for one in rounds] for way in WAYS)
            aims.adds_at_most(f"a relay adds at {pace} a second, {label}, in µs", aim, *by_round)


def main() -> int:
    """Print one line per forwarder; the exit code."""
    aims = Aims()
    print(f"{'':24}{'1000 stanzas paced':>20}{'1000 one by one':>20}{'MB':>12}   (CPU ms)")
    ways = {name: setup for name, (setup, _) in WAYS.items() if setup is not None}
    for name, setup in {**ways, "relay, 50 ms": relay(Conditions(latency=0.05))}.items():
        small = cost(name, setup, paced) * 1e6 / STANZAS
        large = cost(name, setup, bulk) * 1e3 / (BULK / 1e6)
        single = None if "50 ms" in name else cost(name, setup, one_by_one) * 1e6 / STANZAS
        print(f"{name:24}{small:20.1f}{'-' if single is None else f'{single:.1f}':>20}{large:12.3f}", flush=True)
        if name == "relay, neutral":
            aims.at_least("stanzas per second and core, paced", 1e6 / small, CARRIED)
    compare_delays(aims)
    return int(aims.missed > 0)


if __name__ == "__main__":
    sys.exit(main())
