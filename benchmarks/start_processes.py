"""What a lab of plain processes costs to start, beside starting as many Prosody by hand.

    python benchmarks/start_processes.py [SERVERS] [ROUNDS]

By hand: the same configuration files without what is the lab's own (its modules, its pace of garbage collection),
all started at once, until each accepts on its server-to-server port. Tuned: the same with that pace, which any Prosody
could have for one line; printed for comparison. The lab: a ring through relays, until every edge has carried a stanza
both ways. They alternate within one run, since a machine's speed changes. CPU seconds are those of all processes: the
command, the lab's service, the servers. Then a ring of twice as many comes up once. Ends with 1 if an aim is missed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from _start import written

from lab.declarations.manifest import PORTS
from lab.lifecycle import down, runtimes
from lab.network.lab_folder import remove
from lab.plan.build import build
from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.runtime import lab_record as state
from lab.system.locks import try_lock
from lab.system.processes import SERVER_UID, find_marked
from lab.topology.files import load

SERVERS, ROUNDS = 50, 3
CPU_AIM, WALL_AIM = 1.4, 1.3  # at most so many times the cost by hand
PATIENCE = 300.0  # seconds
_POLL = 0.02  # seconds between two tries of a port
_TICKS = os.sysconf("SC_CLK_TCK")

_UP = """
import asyncio, sys
from lab.lifecycle import up as lab
from lab.topology.files import load
asyncio.run(lab.up(load(sys.argv[1]), runtime="processes", name=sys.argv[2], patience=float(sys.argv[3])))
"""


@dataclass(frozen=True)
class Cost:
    """Seconds of processors, and of the clock."""

    cpu: float
    wall: float

    def __str__(self) -> str:
        return f"{self.cpu:6.2f} s CPU {self.wall:6.2f} s"


def main(servers: int = SERVERS, rounds: int = ROUNDS) -> int:
    """Measure, print, and say whether the aims are met."""
    topology = load(f"ring:{servers}")
    asyncio.run(runtimes.choose("processes").prepare(topology.servers, lambda text: print(text, file=sys.stderr)))
    by_hand, tuned, with_lab = [], [], []
    for _ in range(rounds):
        by_hand.append(hand(servers))
        tuned.append(hand(servers, tuned=True))
        with_lab.append(ours(servers))
        print("  " + "   ".join(map(str, (by_hand[-1], tuned[-1], with_lab[-1]))), flush=True)
    cpu = statistics.median(b.cpu / a.cpu for a, b in zip(by_hand, with_lab, strict=True))
    wall = statistics.median(b.wall / a.wall for a, b in zip(by_hand, with_lab, strict=True))
    print(f"ring of {servers} Prosody, every edge probed: {cpu:.2f} times the CPU (aim {CPU_AIM}),", end=" ")
    print(f"{wall:.2f} times the wall time (aim {WALL_AIM}) of starting them by hand; medians of {rounds}")
    same = statistics.median(b.cpu / a.cpu for a, b in zip(tuned, with_lab, strict=True))
    print(f"beside servers by hand that collect garbage at the lab's pace: {same:.2f} times the CPU")
    double = ours(2 * servers)
    print(f"ring of {2 * servers}: up after {double.wall:.1f} s, {double.cpu:.1f} s CPU")
    return 0 if cpu <= CPU_AIM and wall <= WALL_AIM else 1


def ours(servers: int) -> Cost:
    """A lab, from the command's start until it is ready."""
    name = f"bench-{os.getpid()}"
    root = Layout.of(name).root
    before, start = os.times(), time.monotonic()
    try:
        command = [sys.executable, "-c", _UP, f"ring:{servers}", name, str(PATIENCE)]
        subprocess.run(command, check=True)
        wall, after = time.monotonic() - start, os.times()
        own = after.children_user + after.children_system - before.children_user - before.children_system
        return Cost(own + consumed(find_marked().get(str(root), [])), wall)
    finally:
        if root.exists():
            asyncio.run(down.down(name))


def hand(servers: int, *, tuned: bool = False) -> Cost:
    """The servers alone, until each accepts; files are written before the clock runs."""
    layout = Layout.of(f"bench-hand-{os.getpid()}")
    state.make_root(layout)
    lock = try_lock(layout.lock)
    assert lock is not None, "nobody else has this name"
    processes: list[subprocess.Popen[bytes]] = []
    runtime, topology = runtimes.choose("processes"), load(f"ring:{servers}")
    reservation = asyncio.run(runtime.reserve(layout, topology.servers))
    try:
        facts = asyncio.run(runtime.get_facts(layout, topology.servers, reservation))
        plan = written(layout, build(topology, facts), tuned=tuned)
        start, before = time.monotonic(), time.process_time()
        for server in plan.servers:
            processes.append(begin(layout, server.spec.name, plan))
        for server in plan.servers:
            accepts(server.address, start + PATIENCE)
        wall = time.monotonic() - start
        return Cost(time.process_time() - before + consumed([one.pid for one in processes]), wall)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        reservation.release()
        remove(layout)
        os.close(lock)


def begin(layout: Layout, name: str, plan: Plan) -> subprocess.Popen[bytes]:
    """Start one server as anybody would."""
    server, uid = plan.server(name), SERVER_UID if os.geteuid() == 0 else None
    return subprocess.Popen(
        server.command,
        cwd=layout.server(name),
        env={"PATH": os.environ["PATH"], **dict(server.environment)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
    )


def accepts(address: str, deadline: float) -> None:
    """Return once a server accepts connections on its server-to-server port."""
    while True:
        try:
            socket.create_connection((address, PORTS.server), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL)
        else:
            return


def consumed(pids: list[int]) -> float:
    """CPU seconds that processes, and their children that have ended, have used (proc(5), fields 14 to 17)."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:15]))
    return total / _TICKS


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
