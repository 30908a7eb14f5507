"""Locust as a process beside the test, on a small lab; what it counted, and what it left."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from lab.lifecycle import up as labs
from lab.lifecycle.lab import Lab
from lab.load.metrics.run_folder import LoadRecord, read
from lab.system.processes import find_marked
from lab.topology.spec import Feed, Link
from tests.house.tree import ROOT
from tests.runtime.helpers import pair

LOADTESTS = ROOT / "loadtests"
ROUTES = {"a->b", "b->a"}
DEADLINE = 120  # seconds
LINES = 40  # that are shown of what a process said
LOAD = ("-u", "6", "-t", "2s", "--warmup", "0.5", "--rate", "100/s")


@asynccontextmanager
async def a_pair(runtime: str) -> AsyncIterator[Lab]:
    """Two servers with a direct link; no load has left anything of it at the end."""
    topology = pair()
    servers = tuple(replace(server, feed=Feed.OFF) for server in topology.servers)
    topology = replace(topology, servers=servers, links=(Link("a", "b", direct=True),))
    lab = await labs.up(topology, runtime=runtime, owned=True)
    try:
        yield lab
        until(lambda: not agents(lab))
    finally:
        await lab.down()


def agents(lab: Lab) -> list[int]:
    """Processes of the lab that a load started."""
    return [pid for pid in find_marked().get(str(lab.layout.root), []) if is_load(pid)]


def is_load(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"lab.load" in command or b"lab.clients.agent" in command


def argv(lab: Lab, file: str | Path, *more: str) -> list[str]:
    path = LOADTESTS / f"{file}.py" if isinstance(file, str) else file
    return [sys.executable, "-m", "locust", "-f", str(path), "--lab", lab.name, *more]


def locust(lab: Lab, file: str | Path, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = argv(lab, file, "--headless", *more)
    # Among files of which one is called as a package that an encrypted load needs.
    whole = {**os.environ, **environment}
    return subprocess.run(command, cwd=LOADTESTS, capture_output=True, text=True, timeout=DEADLINE, env=whole)


def counts(file: Path) -> dict[str, int]:
    """Requests by route, of Locust's CSV; "Aggregated" is the total."""
    with file.open() as lines:
        return {row["Name"]: int(row["Request Count"]) for row in csv.DictReader(lines)}


def requests(file: Path) -> dict[str, int]:
    """Requests by route, of Locust's JSON; failed ones are among them."""
    return {entry["name"]: entry["num_requests"] for entry in json.loads(file.read_text())}


def whole(runs: Path, counted: dict[str, int]) -> LoadRecord:
    """The one run below `runs`, in which nothing is missing or counted twice, and Locust has counted the same."""
    kept = read(runs / "latest")
    assert (kept.folder / "report.txt").is_file()
    total = kept.result.total
    assert kept.settled
    assert total.sent == total.received + total.lost + total.bounced.total() > 0
    assert counted == {
        name: tally.received + tally.lost + tally.bounced.total() for name, tally in kept.result.routes.items()
    }
    return kept


def processes(count: int = 2) -> tuple[str, ...]:
    """Options for so many Locust processes, at a port that is nobody else's."""
    port = str(free_port())
    return ("--processes", str(count), "--master-bind-port", port, "--master-port", port)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ask(port: int, path: str, **form: str) -> bytes:
    data = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data, timeout=DEADLINE) as answer:
        return bytes(answer.read())


def until(*conditions: Callable[[], bool]) -> None:
    """Return once all hold; the last is looked at first. What Locust said meanwhile is the evidence."""
    deadline = time.monotonic() + DEADLINE
    while not all(condition() for condition in reversed(conditions)):
        assert time.monotonic() < deadline, "it did not come true in time:\n" + "\n".join(map(tail, _said))
        time.sleep(0.05)


def tail(file: IO[bytes]) -> str:
    """The last lines of what a process has written to this file so far."""
    return "\n".join(Path(f"/proc/self/fd/{file.fileno()}").read_text(errors="replace").splitlines()[-LINES:])


_said: list[IO[bytes]] = []  # what each process that runs beside the test writes


@contextmanager
def running(command: list[str], **more: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Locust beside the test, in a process group of its own; it is gone afterwards."""
    said = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, process_group=0, **{"stdout": said, "stderr": said, **more}
    )
    _said.append(said)
    try:
        yield process
    finally:
        _said.remove(said)
        said.close()
        process.terminate()
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
