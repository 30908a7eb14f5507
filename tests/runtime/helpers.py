"""What live tests of the runtime `processes` share."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path

from lab.lifecycle.runtimes import choose
from lab.plan.layout import Layout
from lab.plan.model import RuntimeFacts
from lab.runtime.processes.loopback import reserve
from lab.system.processes import find_marked
from lab.topology.spec import Link, Server, Topology

FREED = 60.0  # seconds: tests in another process keep a lab up no longer
VERSIONS = {"prosody": "13.0", "ejabberd": "24.12"}


def unique(what: str) -> str:
    """A lab's name that nobody else uses."""
    return f"t-{what}-{secrets.token_hex(3)}"


def pair(first: str = "prosody", second: str = "prosody", users: int = 0) -> Topology:
    """Two linked servers."""
    servers = tuple(
        Server(name=name, domain=f"{name}.test", software=kind, version=VERSIONS[kind], users=users)
        for name, kind in (("a", first), ("b", second))
    )
    return Topology("pair", "", servers, (Link("a", "b"),))


async def facts_of(*servers: Server) -> RuntimeFacts:
    """Where the runtime `processes` has the software of these servers, which is there afterwards."""
    runtime, layout = choose("processes"), Layout.of("unused")
    await runtime.prepare(servers, lambda text: None)
    reservation = await runtime.reserve(layout, servers)
    reservation.release()
    return await runtime.get_facts(layout, servers, reservation)


def left_of(name: str) -> list[str]:
    """What there still is of a lab: its folder, its processes."""
    root = Layout.of(name).root
    return [str(root)] * root.exists() + [str(pid) for pid in find_marked().get(str(root), [])]


def until(condition: Callable[[], object], within: float = 60.0) -> None:
    """Return once the condition holds; fails after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def text_of(path: Path) -> str:
    """A file's text, "" if it is not there."""
    return path.read_text() if path.exists() else ""


def is_reserved(network: str) -> bool:
    """Whether some lab, of any user, has this network."""
    holder = reserve(network)
    if holder is None:
        return True
    holder.close()
    return False


def is_freed(network: str) -> bool:
    """Whether nobody holds a network, at once or when the lab of another test that took it then has ended."""
    deadline = time.monotonic() + FREED
    while is_reserved(network):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
