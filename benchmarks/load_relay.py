"""The delay that the relays of a link add under real load, beside a direct link: two Prosody, two ejabberd.

    python benchmarks/load_relay.py

Three pairs of servers carry the same load at the same time, so that what a busy machine adds is in all of them: one
with a direct link, one whose link has a relay for each direction, one with a bare forwarder in their place. Where even
the bare forwarder adds more than the aim, the relay is judged beside it. Prosody writes without Nagle's algorithm here:
its waits of 40 ms would hide what a relay adds.

Ends with 1 if the relay adds more than 150 µs at the median or 1 ms at p99, or where that cannot be told.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from _forwarder import Address, Forwarder, bare
from _load import Aims

from lab.lifecycle import up as labs
from lab.lifecycle.faults import change_server
from lab.lifecycle.lab import Lab
from lab.load.coordinator.child_process import run_in_child
from lab.load.coordinator.preflight import LoadTest
from lab.load.metrics.counters import sum_counters
from lab.load.metrics.result import Result
from lab.load.model.job import Job
from lab.topology import files

ROUNDS = 5
RATE = 100  # messages a second, of each pair
LOAD = {
    "users": 60, "traffic": "neighbours", "warmup": 2.0, "seconds": 8.0, "tick": 0.002,
    "arrivals": f"constant:{3 * RATE}/s",
}  # fmt: skip
SERVERS = {
    "prosody": "{software: prosody, options: {network_settings: {nagle: false}}}",
    "ejabberd": "{software: ejabberd}",
}
PAIRS = {"direct": ("a", "b"), "relay": ("c", "d"), "bare forwarder": ("e", "f")}
ADDED_MEDIAN, ADDED_P99 = 150.0, 1000.0  # µs

#: Median and p99 of the delay from the time of writing, in µs.
Delays = tuple[float, float]


async def divert(lab: Lab) -> Forwarder:
    """Lead the streams between the third pair's servers through a bare forwarder."""
    pair = [lab.plan.server(name) for name in PAIRS["bare forwarder"]]
    ways: list[tuple[Address, Address]] = [
        ((lab.plan.services, 39_000 + number), (server.address, server.spec.manifest.ports.server))
        for number, server in enumerate(pair)
    ]
    forwarder = Forwarder(bare(*ways))
    async with lab.open_control() as control:
        for server, ((address, port), _) in zip(pair, ways, strict=True):
            name = f"_xmpp-server._tcp.{server.spec.domain}"
            record = ["SRV", f"0 0 {port} {address}."]
            await control.call("override", name=name, type="SRV", rcode="NOERROR", records=[record])
    for server in pair:  # their streams until now are direct
        await change_server(lab, server.spec.name, "restart")
    return forwarder


async def carry(folder: Path, lab: Lab) -> dict[str, Delays]:
    """One load on all pairs: the delays of each."""
    job = Job(lab.name, LOAD, folder=Path(tempfile.mkdtemp(dir=folder)), page=False)
    result = (await run_in_child(job, LoadTest("neighbours"), lambda event: None)).result
    return {name: measure(result, *pair) for name, pair in PAIRS.items()}


def measure(result: Result, one: str, other: str) -> Delays:
    """Both directions of a pair together."""
    delays = sum_counters(result.routes[f"{a}->{b}"] for a, b in ((one, other), (other, one))).actual
    return 1e6 * delays.percentile(50), 1e6 * delays.percentile(99)


async def compare(software: str, aims: Aims) -> None:
    """Print and judge what a relay adds between two servers of one kind."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{software}.yaml"
        servers = ", ".join(f"{name}: {SERVERS[software]}" for pair in PAIRS.values() for name in pair)
        path.write_text(
            f"name: relay-cost\nservers: {{{servers}}}\n"
            f"links: [{{between: [a, b], direct: true}}, {{between: [c, d]}}, {{between: [e, f], direct: true}}]\n"
        )
        lab = await labs.up(files.load(path), runtime="processes", owned=True)
        try:
            forwarder = await divert(lab)
            rounds = [await carry(Path(folder), lab) for _ in range(ROUNDS)]
            if not forwarder.end():
                raise SystemExit("nothing went through the bare forwarder")
        finally:
            await lab.down()
    for which, name, aim in ((0, "median", ADDED_MEDIAN), (1, "p99", ADDED_P99)):
        figures = {way: statistics.median(one[way][which] for one in rounds) for way in PAIRS}
        text = ", ".join(f"{way} {value:.0f} µs ({value / figures['direct']:.2f})" for way, value in figures.items())
        print(f"{software}, {name}: {text}")
        by_round = {way: [one[way][which] for one in rounds] for way in PAIRS}
        what = f"a relay adds between two {software}, {name}, in µs"
        aims.adds_at_most(what, aim, by_round["direct"], by_round["bare forwarder"], by_round["relay"])


async def main() -> int:
    """Print the delays of all ways; the exit code."""
    aims = Aims()
    for software in SERVERS:
        await compare(software, aims)
    return int(aims.missed > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
