"""What a neutral relay costs, beside a bare forwarder on the same loop: CPU seconds per MB and per 1000 stanzas.

    python benchmarks/relay.py

Each forwarder runs in a process of its own; what is told is that process's CPU time only. Small writes are
paced, since wake-ups dominate at low rates and hide nothing at equal ones. The budget is 25,000 stanzas a second
on one core: 0.040 CPU seconds per 1000, saturated.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop

from lab.declarations.links import Conditions
from lab.network.link_shaper import LinkShaper
from lab.network.relay import Relay
from lab.network.target import Target
from lab.plan.model import RelayPlan

ADDRESS, PORT, TARGET = "127.199.0.2", 20000, ("127.199.1.0", 5269)
STANZA = b"<message>" + b"x" * 182 + b"</message>"  # 200 bytes
STANZAS, PACE = 50_000, 5_000  # how many, and how many a second when paced
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


def main() -> None:
    """Print one line per forwarder."""
    print(f"{'':24}{'1000 stanzas paced':>20}{'1000 one by one':>20}{'MB':>12}   (CPU ms)")
    ways: list[tuple[str, Setup]] = [
        ("bare forwarder", bare),
        ("relay, neutral", relay(Conditions())),
        ("relay, 50 ms", relay(Conditions(latency=0.05))),
    ]
    for name, setup in ways:
        small = cost(setup, paced) * 1e6 / STANZAS
        large = cost(setup, bulk) * 1e3 / (BULK / 1e6)
        single = "-" if "50 ms" in name else f"{cost(setup, one_by_one) * 1e6 / STANZAS:.1f}"
        print(f"{name:24}{small:20.1f}{single:>20}{large:12.3f}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
