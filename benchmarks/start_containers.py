"""What a lab of containers costs to start, beside `docker run -d` of as many containers as the lab has.

    python benchmarks/start_containers.py [SERVERS] [ROUNDS]

By hand: one network, then `docker run -d` of as many containers, as many at once as the lab starts: the same servers,
with the same configuration files but for what is the lab's own, written before the clock runs, and one in which nothing
runs; done when the last command has returned, whatever the servers have come to by then. Tuned: the same at the lab's
pace of garbage collection, which any Prosody could have for one line. Idle: nothing runs in any of them, which is what
the engine alone costs. The lab: a ring through relays, from the command's start until every edge has carried a stanza
both ways, which is one container more than it has servers. All alternate within one run, each once the machine has come
to rest: what an engine still clears away after one is not the next one's. Ends with 1 if the aim, beside servers by
hand, is missed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _start import written

from lab.lifecycle import down
from lab.network.lab_folder import remove
from lab.plan.build import build
from lab.plan.layout import Layout
from lab.plan.model import RuntimeFacts, ServerPlan
from lab.runtime import lab_record as state
from lab.runtime.containers.engine import WORKERS, build_filters, build_labels, build_name, connect, get_server_user
from lab.runtime.containers.image_specs import find_server_image
from lab.runtime.containers.runtime import Containers, reserve_network
from lab.system.locks import try_lock
from lab.topology.files import load

SERVERS, ROUNDS = 20, 3
REST, PATIENCE = 0.1, 30.0  # cores in use at most, and seconds until then at most
AIM = 1.3  # at most so many times the wall time of the bare containers

IDLE = ("sleep", "600")

_UP = """
import asyncio, sys
from lab.lifecycle import up as lab
from lab.topology.files import load
asyncio.run(lab.up(load(sys.argv[1]), runtime="containers", name=sys.argv[2]))
"""


def main(servers: int = SERVERS, rounds: int = ROUNDS) -> int:
    """Measure, print, and say whether the aim is met."""
    topology = load(f"ring:{servers}")
    asyncio.run(Containers().prepare(topology.servers, lambda text: print(text, file=sys.stderr)))
    ratios: dict[str, list[float]] = {"by hand": [], "tuned": [], "idle": []}
    for _ in range(rounds):
        took = {"by hand": bare(servers), "tuned": bare(servers, tuned=True), "idle": bare(servers, idle=True)}
        lab = ours(servers)
        for beside, seconds in took.items():
            ratios[beside].append(lab / seconds)
        print("".join(f"  {one} {seconds:6.2f} s " for one, seconds in {**took, "lab": lab}.items()), flush=True)
    ratio, tuned, idle = map(statistics.median, ratios.values())
    print(f"ring of {servers} Prosody in containers, every edge probed: {ratio:.2f} times the wall time", end=" ")
    print(f"of `docker run -d` of as many containers (aim {AIM}), {WORKERS} at once; median of {rounds}")
    print(f"beside servers by hand that collect garbage at the lab's pace: {tuned:.2f} times")
    print(f"beside containers in which nothing runs: {idle:.2f} times")
    return 0 if ratio <= AIM else 1


def rest() -> None:
    """Wait until hardly anything runs on the machine, for half a second. Ends the benchmark if that never comes."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        before = busy()
        time.sleep(0.5)
        if (used := (busy() - before) / 0.5) < REST:
            return
    raise SystemExit(f"the machine does not come to rest: {used:.1f} cores are in use, at most {REST} may be")


def busy() -> float:
    """Seconds that all cores together have worked (proc_stat(5)): all but idle and waiting for disks."""
    times = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(times) - times[3] - times[4]) / os.sysconf("SC_CLK_TCK")


def ours(servers: int) -> float:
    """Seconds of a lab, from the command's start until it is ready."""
    lab = f"bench-{os.getpid()}"
    rest()
    start = time.monotonic()
    try:
        subprocess.run([sys.executable, "-c", _UP, f"ring:{servers}", lab], check=True)
        return time.monotonic() - start
    finally:
        if Layout.of(lab).root.exists():
            asyncio.run(down.down(lab))


def bare(servers: int, *, tuned: bool = False, idle: bool = False) -> float:
    """Seconds until `docker run` of as many containers as the lab has, of the same image, has returned."""
    program = shutil.which("docker")
    if program is None:
        raise SystemExit("the docker command is what is compared with: install it (Debian: docker.io or docker-cli)")
    image, client = find_server_image("prosody", "13.0").tag, connect()
    layout = Layout.of(f"bench-bare-{os.getpid()}")
    state.make_root(layout)  # what a killed benchmark leaves is swept, but nothing while we hold the lock
    lock = try_lock(layout.lock)
    assert lock is not None, "nobody else has this name"

    words = [program, "run", "--detach", "--network", build_name(layout), "--user", get_server_user()]
    words += [word for key, value in build_labels(layout).items() for word in ("--label", f"{key}={value}")]

    def run(server: ServerPlan | None) -> None:
        command = IDLE if idle or server is None else server.command
        place = [] if server is None else ["--ip", server.address]
        place += [] if server is None else ["--volume", f"{layout.server(server.spec.name)}:{server.folder}"]
        subprocess.run([*words, *place, image, *command], check=True, stdout=subprocess.DEVNULL)

    with ThreadPoolExecutor(WORKERS) as pool:
        try:
            rest()
            start = time.monotonic()
            facts = RuntimeFacts(runtime="containers", network=reserve_network(client, layout), folders="/lab")
            made = time.monotonic() - start
            plan = written(layout, build(load(f"ring:{servers}"), facts), tuned=tuned)
            start = time.monotonic()
            list(pool.map(run, [None, *plan.servers]))
            passed = made + time.monotonic() - start
            rest()  # whoever cannot run has ended by then
            if (running := len(client.containers.list(filters={**build_filters(layout)}))) != servers + 1:
                raise SystemExit(f"of the containers by hand {running} run, not {servers + 1}")
            return passed
        finally:
            asyncio.run(Containers().stop(layout))
            remove(layout)
            os.close(lock)
            client.close()


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
