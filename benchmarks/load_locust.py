"""Locust's part of a load: CPU of the Locust process beside that of the generator, in the steady state of one load.

Runs Locust headless on a Prosody of processes; arguments: messages a second (1000), seconds (20). What a start costs
(about half a second of CPU) is left out. The coordinator process, which passes
samples on and meters servers, is listed separately.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from lab.lifecycle import up as labs
from lab.load.coordinator.provisioning import adapt_topology
from lab.load.model.job import VARIABLE, Job
from lab.topology.files import load as topology

AIM = 0.10
USERS = 200
WARMUP = 3.0
_TICKS = os.sysconf("SC_CLK_TCK")
_ROOT = Path(__file__).resolve().parents[1]


def cpu(pid: int) -> float:
    """Seconds of CPU of a process, its children left out (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def child_of(pid: int) -> int:
    """The coordinator."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def samples(file: Path) -> list[dict[str, Any]]:
    """The workers' samples so far that are of the steady state."""
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == "sample" and event["from"] >= WARMUP]


def measure(lab: str, rate: int, seconds: int) -> tuple[float, float, float, int]:
    """CPU seconds of Locust, coordinator and generator between two samples, and the messages between them."""
    with tempfile.TemporaryDirectory() as folder:
        asked = {
            "users": USERS,
            "arrivals": f"{rate}/s",
            "traffic": "local",
            "seconds": seconds + 2.0,
            "warmup": WARMUP,
        }
        job = Path(folder, "load.json")
        job.write_text(Job(lab, asked, folder=Path(folder)).encode())
        command = [
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(_ROOT / "loadtests/chat.py"),
            "--headless",
            "--only-summary",
        ]
        process = subprocess.Popen(
            [*command, "-u", str(USERS)],
            env={**os.environ, VARIABLE: str(job)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            readings = []
            for wanted in (1, seconds):
                while len(samples(Path(folder, "samples.jsonl"))) < wanted:
                    if process.poll() is not None:
                        sys.exit(f"Locust ended with {process.returncode} before {wanted} samples")
                    time.sleep(0.02)
                readings.append((cpu(process.pid), cpu(child_of(process.pid))))
            inside = samples(Path(folder, "samples.jsonl"))[1:seconds]
        finally:
            process.terminate()
            process.wait()
    locust, coordinator = (after - before for before, after in zip(*readings, strict=True))
    received = sum(route["received"] for one in inside for route in one["steady"].values())
    return locust, coordinator, sum(one["cpu"] for one in inside), received


async def main() -> int:
    """Print the figures; 1 if the aim is missed."""
    rate, seconds = (int(one) for one in (sys.argv[1:] + ["1000", "20"][len(sys.argv) - 1 :]))
    lab = await labs.up(adapt_topology(topology("pair")), runtime="processes", owned=True)
    try:
        locust, coordinator, engine, count = await asyncio.to_thread(measure, lab.name, rate, seconds)
    finally:
        await lab.down()
    each = {"Locust": locust, "coordinator": coordinator, "generator": engine}
    told = ", ".join(f"{name} {1000 * used / count:.4f}" for name, used in each.items())
    print(f"{count} messages, CPU seconds per 1000: {told}")
    print(f"Locust's part: {locust / engine:.1%} of the generator's CPU, aim: at most {AIM:.0%}")
    return int(locust > AIM * engine)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
