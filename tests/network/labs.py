"""Labs for tests of the network: plans whose servers are small Python programs, on a loopback network of their own."""

from __future__ import annotations

import asyncio
import atexit
import functools
import itertools
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from lab.declarations.links import Conditions
from lab.declarations.manifest import PORTS
from lab.plan.files import dump
from lab.plan.layout import DNS_BASE_PORT, RELAY_BASE_PORT, Layout
from lab.plan.model import CertificateRequest, Plan, RelayPlan, RuntimeFacts, ServerPlan
from lab.runtime.processes.loopback import reserve
from lab.system.processes import MARK
from lab.topology.spec import Certificate, Link, Server, Topology, Unlinked

#: A program that accepts on its address's federation port and sends back what it gets.
ECHO = """
import os, socket
listener = socket.create_server((os.environ["ADDRESS"], 5269))
while True:
    connection, _ = listener.accept()
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()
"""
SLEEP = ("sleep", "60")
#: As root servers run as nobody's uid, which need not reach the interpreter that runs the tests.
PYTHON = sys.executable if os.geteuid() else shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
ECHOING = (PYTHON, "-S", "-E", "-c", ECHO)


def _networks() -> Iterator[int]:
    """Second numbers, each in turn; those of the processes that share a run's tests (pytest-xdist) differ."""
    mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    among = list(range(120, 250))[mine :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    random.SystemRandom().shuffle(among)  # nor are two runs likely to meet
    return itertools.cycle(among)


_DEALT = _networks()
_RESERVED: dict[int, socket.socket] = {}  # held until this process ends: other runs on this machine take others
atexit.register(lambda: [holder.close() for holder in _RESERVED.values()])


def loopback() -> str:
    """The first two numbers of a loopback network that no other test uses: "127.143"."""
    while (number := next(_DEALT)) not in _RESERVED:
        holder = reserve(f"127.{number}.0.0/16")
        if holder is not None:
            _RESERVED[number] = holder
            break
    return f"127.{number}"


def plan(
    *,
    network: str | None = None,
    names: tuple[str, ...] = ("a", "b"),
    links: tuple[tuple[str, str], ...] = (("a", "b"),),
    command: tuple[str, ...] = SLEEP,
    conditions: Conditions | None = None,
    unlinked: Unlinked = Unlinked.NOT_ALLOWED,
    features: tuple[str, ...] = (),
) -> Plan:
    """A plan for the runtime `processes` whose servers all run `command`."""
    base = network or loopback()
    there = conditions or Conditions()
    edges = tuple(Link(a, b, forward=there, backward=there) for a, b in links)
    specs = tuple(
        Server(name=name, domain=f"{name}.test", software="prosody", version="13.0", features=features)
        for name in names
    )
    addresses = {name: f"{base}.1.{index}" for index, name in enumerate(names)}
    directions = [pair for a, b in links for pair in ((a, b), (b, a))]
    return Plan(
        topology=Topology("test", "", specs, edges, unlinked),
        facts=RuntimeFacts("processes", f"{base}.0.0/16", "/nowhere/{server}"),
        services=f"{base}.0.2",
        servers=tuple(
            ServerPlan(
                spec=spec, address=addresses[spec.name], folder=f"/nowhere/{spec.name}",
                hosts=(spec.domain, f"rooms.{spec.domain}"),
                certificate=CertificateRequest(spec.domain, (spec.domain,), Certificate.VALID),
                files=(), command=command, environment=(("ADDRESS", addresses[spec.name]),),
                dns=(f"{base}.0.2", DNS_BASE_PORT + index), probes=(), memory=0,
            )
            for index, spec in enumerate(specs)
        ),
        relays=tuple(
            RelayPlan(source, target, RELAY_BASE_PORT + k, (addresses[target], PORTS.server), there)
            for k, (source, target) in enumerate(directions)
        ),
    )  # fmt: skip


def with_command(made: Plan, name: str, command: tuple[str, ...]) -> Plan:
    """The plan with another command for one server."""
    servers = tuple(replace(each, command=command) if each.spec.name == name else each for each in made.servers)
    return replace(made, servers=servers)


def folder(root: Path, made: Plan) -> Layout:
    """A lab's folder as a runtime leaves it for the service."""
    layout = Layout(root)
    for server in made.servers:
        place = layout.server(server.spec.name)
        place.mkdir(mode=0o711, parents=True)
        if os.geteuid() == 0:
            os.chown(place, 61747, 61747)
    for outer in (root, root / "servers", *root.parents[:2]):
        outer.chmod(outer.stat().st_mode | 0o711)
    layout.state.write_text("{}")
    layout.plan.write_text(dump(made))
    return layout


def start(layout: Layout, *options: str, keep: tuple[int, ...] = ()) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """The service as a process, once it has said that it is ready or why not; that answer."""
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "lab.network.service", str(layout.root), "--ready-fd", str(writing), *options]
    process = subprocess.Popen(
        command,
        env={**os.environ, MARK: str(layout.root)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        pass_fds=(writing, *keep),
        start_new_session=True,
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        line = pipe.readline()
    if not line:
        process.wait(30)
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())
    return process, json.loads(line)


@contextmanager
def service(layout: Layout, *options: str, keep: tuple[int, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """A running service, ended in order at the end of the block if it still runs."""
    process, answer = start(layout, *options, keep=keep)
    try:
        assert "ok" in answer, answer
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)
                raise
        assert process.stderr is not None
        process.stderr.close()


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on the loop that the service runs on, in a thread of its own beside pytest's loop."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_run, test, args, kwargs).result(60)

    return run


def _run(test: Callable[..., Coroutine[Any, Any, None]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test(*args, **kwargs))
