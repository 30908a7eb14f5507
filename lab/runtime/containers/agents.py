"""Agents: the lab's own in a container on the lab's network; a user's own command as a child process on the host.

A user's program and its libraries are on the host, not in our image; the host has an address on every lab's network
(its gateway), and agents are told addresses, not names. Where the engine is a virtual machine's (Docker Desktop) the
host has no such address: not tried.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lab.plan.layout import Layout
from lab.runtime.containers import engine as eng
from lab.runtime.containers.attached import attach, streams
from lab.runtime.containers.engine import Engine
from lab.runtime.containers.provision import site
from lab.runtime.containers.recipes import python_recipe
from lab.runtime.containers.specs import agent_spec
from lab.runtime.protocol import Pipes

if TYPE_CHECKING:
    from docker import DockerClient

OURS = ("python3", "-m", "lab.clients.agent")
LOG = "agents.log"  # in the lab's folder: what agents write to standard error
_PATIENCE = 10.0  # seconds that an agent has to close its streams once its input has ended


async def in_container(engine: Engine, layout: Layout, command: Sequence[str] = OURS) -> Pipes:
    """An agent in a container; it has been started."""
    libraries = site(await engine.machine())
    spec = agent_spec(layout, command, python_recipe().tag, libraries)
    container, connection = await engine.call(_start, engine.client, eng.name(layout), spec)
    log = os.open(layout.root / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    reader, writer = await streams(connection, lambda data: _write(log, data))

    async def close() -> None:
        writer.close()
        await engine.call(_end, engine.client, container)
        os.close(log)

    return Pipes(reader, writer, lambda: asyncio.ensure_future(close()))
