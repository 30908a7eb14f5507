"""What a person in a place of their own costs (`people: {placement: each}`), beside the same people together.

    python benchmarks/placement.py [PEOPLE] [ROUNDS] [RUNTIME…]

Both runtimes, on a pair of Prosody that is up. People with OMEMO log in at the same time: all in one agent, then each
in one of their own, alternately. Wall time is from before the first agent is started until everybody is online, divided
by the number of people. CPU and memory are those of the agents' processes by then, in containers with the engine's
process that watches each of them (containerd-shim); memory is the proportional set size, in which what several share
counts once. What else the engine does for a container is in the wall time only. Ends with 1 if an aim is missed.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from dataclasses import astuple, dataclass
from pathlib import Path

from _load import Aims, cpu

from lab.clients.remote import Agent
from lab.declarations.manifest import PORTS
from lab.lifecycle import up as labs
from lab.lifecycle.lab import Lab
from lab.topology.files import load

PEOPLE, ROUNDS, RUNTIMES = 10, 3, ("processes", "containers")
DEADLINE = 300.0  # seconds for a login, among many on a busy machine
MEMORY_AIM, CPU_AIM = 64.0, 1.2  # MiB and seconds for a person in a place of their own, on both runtimes
MIB = 2**20


@dataclass
class Cost:
    """Of a person."""

    wall: float  # seconds until everybody was online, divided by how many they are
    cpu: float  # seconds
    memory: float  # MiB


async def measure(runtime: str, people: int, rounds: int) -> tuple[list[Cost], list[Cost]]:
    """Together and alone, round by round."""
    lab = await labs.up(load("pair"), runtime=runtime, owned=True)
    try:
        users = [f"p{number}" for number in range(2 * rounds * people)]
        for server in "a", "b":
            await lab.create_accounts(server, users)
        groups = [users[start : start + people] for start in range(0, len(users), people)]
        costs = [await place(lab, group, alone=bool(number % 2)) for number, group in enumerate(groups)]
    finally:
        await lab.down()
    return costs[::2], costs[1::2]


async def place(lab: Lab, users: list[str], *, alone: bool) -> Cost:
    """What these cost who log in now."""
    began = time.monotonic()
    pipes = await asyncio.gather(*(lab.start_agent(own_address=alone) for _ in (users if alone else users[:1])))
    agents = [Agent(one.reader, one.writer, close=one.close) for one in pipes]
    try:
        await asyncio.gather(*(login(agents[n % len(agents)], lab, user, "ab"[n % 2]) for n, user in enumerate(users)))
        took = time.monotonic() - began
        pids = [pid for one in pipes if one.pid for pid in (one.pid, *find_watcher(one.pid, lab))]
        used, held = sum(map(cpu, pids)), sum(map(read_memory, pids))
    finally:
        await asyncio.gather(*(agent.close() for agent in agents))
    return Cost(took / len(users), used / len(users), held / len(users) / MIB)


async def login(agent: Agent, lab: Lab, user: str, name: str) -> None:
    """A device online, to which others can encrypt."""
    server = lab.plan.server(name)
    await agent.call(
        "connect", user, jid=f"{user}@{server.spec.domain}", password=lab.password, resource="device",
        host=server.address, port=PORTS.client, authority=lab.authority, encryption="omemo", timeout=DEADLINE,
    )  # fmt: skip


def find_watcher(pid: int, lab: Lab) -> list[int]:
    """The engine's process that has started a container's main process; it is root's, and only root can measure it."""
    if lab.runtime.name == "processes" or os.geteuid() != 0:
        return []
    return [int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])]


def read_memory(pid: int) -> int:
    """Bytes of its proportional set size (proc_pid_smaps(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def median(costs: list[Cost]) -> Cost:
    """Each figure's."""
    return Cost(*map(statistics.median, zip(*map(astuple, costs), strict=True)))


def main(people: int = PEOPLE, rounds: int = ROUNDS, *, runtimes: tuple[str, ...] = RUNTIMES) -> int:
    """Measure, print, and say whether the aims are met."""
    aims = Aims()
    for runtime in runtimes:
        together, alone = map(median, asyncio.run(measure(runtime, people, rounds)))
        if runtime == "containers" and os.geteuid() != 0:
            print("without the engine's processes, which only root can measure")
        print(f"{runtime}, {people} people with OMEMO, median of {rounds}; for each person:")
        for what, unit, one, other in zip(("time", "CPU", "memory"), ("s", "s", "MiB"),
                                          astuple(together), astuple(alone), strict=True):  # fmt: skip
            print(f"  {what}: together {one:.2f} {unit}, each {other:.2f} {unit}, {other / one:.1f} times as much")
        aims.at_most(f"MiB of a person in a place of their own, {runtime}", alone.memory, MEMORY_AIM)
        aims.at_most(f"CPU s of a person in a place of their own, {runtime}", alone.cpu, CPU_AIM)
    return 1 if aims.missed else 0


if __name__ == "__main__":
    numbers, names = [int(word) for word in sys.argv[1:] if word.isdecimal()], sys.argv[3:]
    sys.exit(main(*numbers, runtimes=tuple(names) or RUNTIMES))
