"""What the engine gets out of a real server, beside tsung on the same one: Prosody, then ejabberd.

    python benchmarks/load_servers.py [--quick]

One server alone as a process, people who write to each other over direct TLS. First the highest rate at which the
engine loses nothing and 99 of 100 messages come within BOUND, as `xmpplab load --find-limit` searches it. Then rungs
around that rate, the engine and tsung in turn, each once the server is idle again: what came per second, at the
receivers. tsung tells means of ten seconds and no percentiles, so its rungs count where the *mean* is within BOUND; if
none is, all of them count, however late.
At last a crowd: CROWD people online, and whether everything came.

Ends with 1 if tsung got more out of a server than the rate that was found, if the crowd missed a message, or if there
is no tsung to compare with.
"""

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
import time
from pathlib import Path

from _load import Aims
from _tsung import INTERVAL, Target, Tsung

from lab.lifecycle import up as labs
from lab.lifecycle.lab import Lab
from lab.load.capacity.idle import LabIdleDetector
from lab.load.capacity.search import Bounds
from lab.load.capacity.trials import find_limit_on
from lab.load.coordinator.child_process import run_in_child
from lab.load.coordinator.preflight import LoadTest
from lab.load.coordinator.progress import ProgressPrinter
from lab.load.coordinator.provisioning import adapt_topology, build_load, empty_archives, find_endpoints
from lab.load.metrics.result import Result
from lab.load.model.job import Job
from lab.topology.software import parse
from lab.topology.spec import Server, Topology

QUICK = "--quick" in sys.argv
USERS, CROWD = 200, 500 if QUICK else 5000
SECONDS = 4.0 if QUICK else 6.0
BOUND = 1.0  # seconds
START = 2000.0  # messages a second
RUNGS = (1.0,) if QUICK else (0.85, 1.0, 1.15)
IDLE = 120.0  # seconds until a server must be idle again
JUDGED = 1 if QUICK else 2  # of tsung's intervals in which all write
LOAD = {"users": USERS, "traffic": "local", "security": "direct", "warmup": 3.0, "seconds": SECONDS}


def quietly(_: str) -> None:
    """Progress is nobody's here."""


async def ours(lab: Lab, folder: Path, **more: object) -> Result:
    """A load on the lab."""
    test = LoadTest("local")
    where = Path(tempfile.mkdtemp(dir=folder))
    return (await run_in_child(Job(lab.name, LOAD | more, folder=where), test, ProgressPrinter(quietly), [])).result


def theirs(lab: Lab, rate: float) -> tuple[float, float]:
    """Messages a second that came to tsung's users, and their mean delay in seconds; none if not all write."""
    (there,) = find_endpoints(lab.plan, "direct")
    with Tsung(Target(there.host, there.port, "direct", there.domain, lab.password), USERS, rate) as tsung:
        deadline = time.monotonic() + 20 + USERS / 50 + INTERVAL * (JUDGED + 2)
        while len(found := tsung.intervals()) < JUDGED:
            if time.monotonic() > deadline:
                return 0.0, math.inf
            time.sleep(0.5)
    return sum(count for count, _ in found) / len(found), max(delay for _, delay in found)


async def clean(lab: Lab, quiet: LabIdleDetector) -> None:
    """Nothing is under way, and no archive makes the next message dearer than the first."""
    await quiet.wait(IDLE)
    await empty_archives(lab, build_load(lab, LOAD))


async def rung(lab: Lab, folder: Path, quiet: LabIdleDetector, rate: float) -> tuple[float, float]:
    """The engine, then tsung at a rate; what the latter got, and its mean delay in seconds."""
    await clean(lab, quiet)
    mine = await ours(lab, folder, arrivals=f"constant:{rate:.0f}/s")
    await clean(lab, quiet)
    its, mean = await asyncio.to_thread(theirs, lab, rate)
    total = mine.total
    print(
        f"  {rate:6.0f}/s: engine {mine.rate:.0f}/s, mean {total.intended.mean * 1000:.0f} ms, "
        f"p99 {total.intended.percentile(99) * 1000:.0f} ms, lost {total.lost}; "
        f"tsung {its:.0f}/s, mean {mean * 1000:.0f} ms",
        flush=True,
    )
    return its, mean


async def measure(software: str, aims: Aims) -> None:
    """Everything on one software."""
    chosen = parse(software)
    server = Server("a", "a.test", chosen.software, chosen.version)
    topology = adapt_topology(Topology(software, "One server alone.", (server,), ()))
    lab = await labs.up(topology, runtime="processes", owned=True)
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            found = await find_limit_on(
                lab, LOAD, Bounds(p99=BOUND, start=START), folder=folder, test=LoadTest("local"), progress=quietly
            )
            print(
                f"{software}: {found.rate:.0f}/s within p99 {BOUND:g} s, nothing lost; limit: {found.why}", flush=True
            )
            if Tsung.available():
                async with LabIdleDetector(lab) as quiet:
                    got = [await rung(lab, folder, quiet, factor * found.rate) for factor in RUNGS]
                judge(software, found.rate, got, aims)
            crowd = await ours(lab, folder, users=CROWD, arrivals="constant:300/s", login_rate=100.0)
            total = crowd.total
            print(f"  {CROWD} people online, 300/s: p99 {total.intended.percentile(99) * 1000:.0f} ms, {crowd.cores()}")
            aims.at_least(f"{software}: share delivered, {CROWD} people", total.received / max(1, total.expected), 1.0)
    finally:
        await lab.down()


def judge(software: str, found: float, got: list[tuple[float, float]], aims: Aims) -> None:
    """The rate that was found, beside the best that tsung got: within the bound, or late if none of it was in time."""
    in_time = [rate for rate, mean in got if mean <= BOUND]
    best, how = max(in_time or [rate for rate, _ in got]), "in time" if in_time else "at any delay"
    if best:
        aims.at_least(f"{software}: highest rate found, beside tsung's best rung, {how}", found, best)
    else:
        aims.missed += 1
        print(f"MISSED {software}: tsung got nothing through, nothing is compared")


def main() -> int:
    """Both servers; the exit code."""
    aims = Aims()
    if not Tsung.available():
        print("tsung is not installed (Debian: apt-get install tsung): nothing is compared")
    for software in ("prosody", "ejabberd"):
        asyncio.run(measure(software, aims))
    return int(aims.missed > 0 or not Tsung.available())


if __name__ == "__main__":
    sys.exit(main())
