"""Agents: the lab's own in a container on the lab's network; a user's own command as a child process on the host.

A user's program and its libraries are on the host, not in the lab's image; the host has an address on every lab's
network (the gateway), and agents get addresses, not names. Where the engine runs in a virtual machine (Docker Desktop)
the host has no such address: not tried.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import PeerError
from lab.plan.layout import Layout
from lab.plan.model import ServerPlan
from lab.runtime.agent_process import CLOSE_PATIENCE, spawn_agent
from lab.runtime.containers.attached_streams import attach, open_streams
from lab.runtime.containers.container_specs import ContainerSpec, build_agent_spec
from lab.runtime.containers.engine import DockerEngine, build_name
from lab.runtime.containers.image_specs import find_python_image
from lab.runtime.containers.preparation import find_site
from lab.runtime.containers.startup import create
from lab.runtime.protocol import Pipes
from lab.system.processes import MARK
from lab.system.terminal import escape_unprintable

if TYPE_CHECKING:
    from docker import DockerClient


async def start_in_container(
    engine: DockerEngine,
    layout: Layout,
    command: Sequence[str],
    *,
    place: ServerPlan | None = None,
    folder: Path | None = None,
) -> Pipes:
    """An agent in a container on the lab's network, `place` being a scripted server's; its standard error is ours.

    It keeps keys in `folder`, the only one of the lab's that it can write.
    """
    site = find_site(await engine.machine())
    spec = build_agent_spec(layout, command, find_python_image().tag, site, place, folder=folder)
    container, connection, pid = await engine.call(_start, engine.client, spec, build_name(layout))
    reader, writer = await open_streams(connection, _write_error)

    async def close() -> None:
        writer.close()
        await engine.call(_end, engine.client, container)

    return Pipes(reader, writer, lambda: asyncio.ensure_future(close()), pid)


async def start_on_host(layout: Layout, argv: Sequence[str]) -> Pipes:
    """A user's own agent as a child process."""
    return await spawn_agent(argv, {MARK: str(layout.root)})


def _write_error(data: bytes) -> None:
    sys.stderr.write(escape_unprintable(data.decode(errors="replace")))


def _start(client: DockerClient, spec: ContainerSpec, network: str) -> tuple[str, socket.socket, int | None]:
    """Raises PeerError with the engine's message, such as that all addresses are in use."""
    from docker.errors import APIError

    container = create(client, spec, network)
    try:
        connection = attach(client, container)
        client.api.start(container)
        pid = _pid(client, container)
    except BaseException as error:
        client.api.remove_container(container, force=True)
        if isinstance(error, APIError):
            raise PeerError(f"the engine does not start an agent: {error.explanation}") from error
        raise
    return container, connection, pid


def _pid(client: DockerClient, container: str) -> int | None:
    """Of its main process as the host sees it; None if the container has ended and is removed already."""
    from docker.errors import NotFound

    try:
        return client.api.inspect_container(container)["State"]["Pid"] or None
    except NotFound:
        return None


def _end(client: DockerClient, container: str) -> None:
    """Return once the container is removed: at the end of its input it ends, or is killed after CLOSE_PATIENCE."""
    from docker.errors import APIError, NotFound
    from requests.exceptions import RequestException

    try:
        client.api.wait(container, timeout=int(CLOSE_PATIENCE), condition="removed")
    except NotFound:
        return
    except RequestException:  # it has not ended
        try:
            client.api.remove_container(container, force=True)
        except NotFound:
            return
        except APIError as error:
            if error.status_code != 409:  # being removed already
                raise
