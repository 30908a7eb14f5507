"""The delay that the relays of a link add under real load, beside a direct link: two Prosody, two ejabberd.

    python benchmarks/load_relay.py

The same load runs on a lab with a direct link and on one whose link has a relay for each direction, in turn. Prosody
writes without Nagle's algorithm here: its waits of 40 ms would hide what a relay adds.

Ends with 1 if the relay adds more than 150 µs at the median or 1 ms at p99.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

from _load import Aims

from lab.lifecycle import up as labs
from lab.load.coordinator.child_process import run_in_child
from lab.load.coordinator.preflight import LoadTest
from lab.load.metrics.result import Result
from lab.load.model.job import Job
from lab.topology import files

ROUNDS = 3
LOAD = {
    "users": 50, "traffic": "neighbours", "arrivals": "constant:300/s", "warmup": 2.0, "seconds": 8.0, "tick": 0.002,
}  # fmt: skip
SERVERS = {
    "prosody": "{software: prosody, options: {network_settings: {nagle: false}}}",
    "ejabberd": "{software: ejabberd}",
}
ADDED_MEDIAN, ADDED_P99 = 150.0, 1000.0  # µs


async def carry(folder: Path, software: str, *, direct: bool) -> Result:
    """The load on a lab of its own."""
    server = SERVERS[software]
    path = folder / f"{software}.yaml"
    path.write_text(
        f"name: relay-cost\nservers: {{a: {server}, b: {server}}}\n"
        f"links: [{{between: [a, b], direct: {str(direct).lower()}}}]\n"
    )
    lab = await labs.up(files.load(path), runtime="processes", owned=True)
    try:
        job = Job(lab.name, LOAD, folder=Path(tempfile.mkdtemp(dir=folder)), page=False)
        return (await run_in_child(job, LoadTest("neighbours"), lambda event: None)).result
    finally:
        await lab.down()


def measure(result: Result) -> tuple[float, float]:
    """Median and p99 of the delay from the time of writing, in µs."""
    delays = result.total.actual
    return 1e6 * delays.percentile(50), 1e6 * delays.percentile(99)


async def main() -> int:
    """Print the delays of both ways; the exit code."""
    aims = Aims()
    for software in SERVERS:
        found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(ROUNDS):
                for way, of in found.items():
                    of.append(measure(await carry(Path(folder), software, direct=way)))
        for which, name, aim in ((0, "median", ADDED_MEDIAN), (1, "p99", ADDED_P99)):
            direct, relayed = (statistics.median(one[which] for one in found[way]) for way in (True, False))
            print(f"{software}, {name}: direct {direct:.0f} µs, relayed {relayed:.0f} µs, ratio {relayed / direct:.2f}")
            aims.at_most(f"a relay adds between two {software}, {name}, in µs", relayed - direct, aim)
    return int(aims.missed > 0)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
