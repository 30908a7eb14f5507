"""What the engine can do at most on this machine, on the null server: messages a core, users, memory.

    python benchmarks/load_limits.py [--quick]

Saturated means: an open loop at a rate that fills the core, and the closed model with one message a user on its way.
The latter waits for the null server, which has the other core, and wakes up more often for it. The floor is a bare
echo: as many connections of uvloop with its own TLS, 200 bytes written, as many come back, nothing is parsed, marked
or counted. It is compared at the rate that the engine reached, in the engine's ticks, right after it: what a wake-up
costs is shared by all that arrived meanwhile, so cost depends on the rate as much as on the code. An echo that waits
for nobody goes faster and cheaper than either; its cost is printed too, and judged by nobody.

Ends with 1 if an aim over TLS is missed: 15,000 messages a core, 1.5 times the CPU of the floor at equal rate, 60 KiB a
user, and every message of a crowd delivered.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import ssl
import statistics
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import cast

import uvloop
from _load import Aims, Worker, median, null_server, rss, window

from lab.load.client.tls import load_context
from lab.load.metrics.result import merge
from lab.load.model.spec import Shard

QUICK = "--quick" in sys.argv
ROUNDS, SECONDS = (1, 3.0) if QUICK else (5, 6.0)
USERS = 2_000 if QUICK else 20_000
CONNECTIONS = 500  # saturated: each has one message on its way
FILLING = {"none": 35_000, "direct": 25_000}  # messages a second: about what a core can
TICK = 0.005  # seconds
EQUAL = 15_000  # messages a second at which engine and echo are put side by side
STANZA = b"<message>" + b"x" * 182 + b"</message>"


def saturated(security: str, arrivals: str) -> tuple[float, float]:
    """Messages a second that the engine reached, and its CPU seconds per 1000."""
    with null_server(security) as null:
        load = null.load(users=CONNECTIONS, arrivals=arrivals, warmup=1.0, seconds=SECONDS + 3, login_rate=2000.0)
        with Worker(load) as worker:
            worker.until("connected")
            worker.go()
            worker.until("sample")
            return window(null, worker.pid, SECONDS)


class Echo(asyncio.BufferedProtocol):
    """Writes back what comes, counts it."""

    buffer = bytearray(64 * 1024)
    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Kept."""
        self.transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> bytearray:
        """The one of all."""
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """A message has come: there it goes again."""
        Echo.count += nbytes // len(STANZA)
        self.transport.write(bytes(self.buffer[:nbytes]))


def _serve(pipe: Connection, certificate: str) -> None:
    async def main() -> None:
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate.split("\n"))
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0, ssl=context, backlog=1000)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


class Answered(Echo):
    """The paced writer's end: counts, writes nothing back."""

    def buffer_updated(self, nbytes: int) -> None:
        """A message has come back."""
        Echo.count += nbytes // len(STANZA)


async def _pace(peers: list[asyncio.Transport], rate: int) -> None:
    """Write at a rate, in ticks as the engine's, each time to another connection."""
    began, sent = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - began) * rate)
        for number in range(sent, due):
            peers[number * 7919 % len(peers)].write(STANZA)
        sent = due
        await asyncio.sleep(TICK)


def _write(pipe: Connection, port: int, authority: str, rate: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        context = load_context(authority) if authority else None
        name = "a.example" if authority else None
        peers = [
            (
                await loop.create_connection(
                    Answered if rate else Echo, "127.0.0.1", port, ssl=context, server_hostname=name
                )
            )[0]
            for _ in range(CONNECTIONS)
        ]
        for transport in peers if not rate else ():
            transport.write(STANZA)
        pacing = asyncio.ensure_future(_pace(peers, rate)) if rate else None
        await asyncio.sleep(1)
        began, used = Echo.count, time.process_time()
        await asyncio.sleep(SECONDS)
        pipe.send((Echo.count - began, time.process_time() - used))
        if pacing is not None:
            pacing.cancel()

    uvloop.run(main())


def floor(security: str, rate: int = 0) -> float:
    """CPU seconds per 1000 echoes at one end, at a rate; without one each connection has one on its way."""
    context = multiprocessing.get_context("spawn")
    with null_server(security) as null:  # for its certificate
        options = json.loads(cast(list[str], null.process.args)[-1])
        certificate = "\n".join((options["certificate"], options["key"])) if security != "none" else ""
        ours, theirs = context.Pipe()
        server = context.Process(target=_serve, args=(theirs, certificate))
        server.start()
        try:
            client = context.Process(target=_write, args=(theirs, ours.recv(), null.authority, rate))
            client.start()
            received: tuple[int, float] = ours.recv()
            client.join(10)
        finally:
            server.kill()
            server.join()
    count, used = received
    return 1000 * used / count


def memory(security: str, users: int = 2000, few: int = 10) -> float:
    """KiB resident per connected user: the difference between a worker with many and one with few."""
    sizes = []
    for count in (few, users):
        with null_server(security) as null, Worker(null.load(users=count, login_rate=5000.0)) as worker:
            worker.until("connected")
            sizes.append(rss(worker.pid))
    return (sizes[1] - sizes[0]) / (users - few) / 1024


def crowd(security: str) -> tuple[str, float]:
    """USERS online, half on each of two servers, in two workers: a process may often have 20,000 files and no more.

    In words, and the share that was delivered of what was sent.
    """
    with null_server(security) as first, null_server(security) as second:
        load = first.load("a", "b", users=USERS, arrivals="1000/s", traffic="local", seconds=8.0, login_rate=5000.0)
        there = replace(load.endpoints[1], port=second.port)
        load = replace(load, endpoints=(load.endpoints[0], there), authority=first.authority + second.authority)
        began = time.monotonic()
        with Worker(load, Shard(0, 2)) as one, Worker(load, Shard(1, 2)) as other:
            for worker in (one, other):
                worker.until("connected")
            took = time.monotonic() - began
            size = sum(rss(worker.pid) for worker in (one, other))
            for worker in (one, other):
                worker.go()
            ended = [worker.until("ended") for worker in (one, other)]
            total = merge(e for worker in (one, other) for e in worker.events if e["event"] == "sample").total
    expected, came = (sum(end[name] for end in ended) for name in ("expected", "delivered"))
    words = (
        f"{USERS} users over TLS online after {took:.0f} s, generators {size / 2**20:.0f} MiB; 1000/s: {came} of "
        f"{expected} delivered, median {total.intended.percentile(50) * 1000:.1f} ms, "
        f"p99 {total.intended.percentile(99) * 1000:.1f} ms"
    )
    return words, came / expected if expected else 0.0


def beside_the_floor(security: str, name: str, wanted: float) -> tuple[float, float]:
    """Messages per CPU second that the engine reached, and its CPU over the floor's at that rate; medians."""
    reached, costs, floors = [], [], []
    for _ in range(ROUNDS):
        rate, cost = saturated(security, f"{wanted:g}/s")
        reached.append(rate)
        costs.append(cost)
        floors.append(floor(security, round(rate)))
    ratio = statistics.median(cost / least for cost, least in zip(costs, floors, strict=True))
    print(
        f"{wanted:g}/s asked for, {name}: reached {', '.join(f'{rate:.0f}' for rate in reached)}/s beside the server; "
        f"CPU s per 1000 {median(costs)}, bare echo at that rate {median(floors)}, ratio {ratio:.2f}",
        flush=True,
    )
    return 1000 / statistics.median(costs), ratio


def main() -> int:
    """Print each figure, and whether the aims are kept."""
    aims = Aims()
    for security, name in (("none", "plain"), ("direct", "TLS")):
        _, ratio = beside_the_floor(security, name, EQUAL)
        full, full_ratio = beside_the_floor(security, name, FILLING[security])
        closed = [saturated(security, "closed:think=0s") for _ in range(ROUNDS)]
        unpaced = [floor(security) for _ in range(ROUNDS)]
        print(
            f"closed, {name}: reached {max(rate for rate, _ in closed):.0f}/s beside the server; CPU s per 1000 "
            f"{median([cost for _, cost in closed])}, bare echo as fast as it goes {median(unpaced)}",
            flush=True,
        )
        each = memory(security)
        print(f"memory, {name}: {each:.1f} KiB a user", flush=True)
        if security == "none":
            continue
        aims.at_least("messages a core, saturated, TLS", full, 15_000)
        aims.at_most("CPU over a bare echo's, saturated, TLS", full_ratio, 1.5)
        aims.at_most(f"CPU over a bare echo's, {EQUAL}/s, TLS", ratio, 1.5)
        aims.at_most("KiB a user, TLS", each, 60)
    words, delivered = crowd("direct")
    print(words, flush=True)
    aims.at_least(f"share delivered, {USERS} users", delivered, 1.0)
    return int(aims.missed > 0)


if __name__ == "__main__":
    sys.exit(main())
