"""What an encrypted message costs the generator, beside a plain one: the same load, plain and with OMEMO, interleaved.

    python benchmarks/load_omemo.py [messages a second (50)] [seconds (10)] [rounds (2)]

Two Prosody with a direct link as processes, messages across it, with one worker and with two. The unit is CPU seconds
per 1000 messages delivered, of all workers together: encrypting, decrypting and the questions for device lists are the
generator's, since people are. Servers are told apart; they carry the questions and five times the bytes. Compare at
equal rates only. Ends with 1 if a message was not decrypted.
"""

from __future__ import annotations

import asyncio
import statistics
import sys

from lab.lifecycle import up as labs
from lab.load.coordinator.coordinator import CoordinatorCommands
from lab.load.coordinator.provisioning import adapt_topology
from lab.load.job_runner import run_job
from lab.load.metrics.result import Result
from lab.load.model.job import Job
from lab.topology.files import load as topology

USERS, WARMUP = 20, 4.0
WAYS = ("plain", "omemo")


async def carried(lab: str, encryption: str, workers: int, rate: int, seconds: float) -> Result:
    """One load's result. Ends the benchmark if a message did not come."""
    asked = {"users": USERS, "arrivals": f"{rate}/s", "seconds": seconds, "warmup": WARMUP, "encryption": encryption}
    outcome = await run_job(Job(lab, asked, workers), CoordinatorCommands(), lambda _: None)
    total = outcome.result.total
    if total.received != total.sent or total.bounced or not outcome.settled:
        raise SystemExit(f"{encryption}, {workers} workers: {total.received} of {total.sent}, {total.bounced}")
    return outcome.result


def split(result: Result) -> tuple[float, float]:
    """CPU seconds per 1000 messages of the workers together, and of the servers together."""
    cost = result.cost()
    mine = sum(spent for name, spent in cost.items() if name.startswith("worker "))
    return mine, sum(cost.values()) - mine


async def main(rate: int, seconds: float, rounds: int) -> None:
    """Print a row for each number of workers and way."""
    lab = await labs.up(adapt_topology(topology("pair")), runtime="processes", owned=True)
    try:
        for workers in (1, 2):
            found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
            delays: dict[str, list[float]] = {way: [] for way in WAYS}
            for _ in range(rounds):
                for way in WAYS:
                    result = await carried(lab.name, way, workers, rate, seconds)
                    found[way].append(split(result))
                    delays[way].append(1000 * result.total.actual.percentile(50))
            middle = {way: [statistics.median(column) for column in zip(*found[way], strict=True)] for way in WAYS}
            for way in WAYS:
                generator, servers = middle[way]
                print(
                    f"{workers} worker{'s' * (workers > 1)}, {rate}/s, {way}: generator {generator:.2f}, servers"
                    f" {servers:.2f} CPU s per 1000; p50 {statistics.median(delays[way]):.1f} ms",
                    flush=True,
                )
            ratio = [after / before for before, after in zip(middle["plain"], middle["omemo"], strict=True)]
            print(f"  OMEMO beside plain: generator {ratio[0]:.1f} times, servers {ratio[1]:.1f} times", flush=True)
    finally:
        await lab.down()


if __name__ == "__main__":
    given = [float(one) for one in sys.argv[1:]] + [50.0, 10.0, 2.0][len(sys.argv) - 1 :]
    asyncio.run(main(int(given[0]), given[1], int(given[2])))
