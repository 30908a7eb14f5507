"""Starts a lab's containers: the services first, the servers directly after them.

The engine needs 0.5 s for a start and does few at once, so the servers' containers are started before their folders are
written and the lab's DNS answers: a server waits for both in its own container (container_specs.GATE). An image of the
user's own is started last: its command cannot wait, and its folder must be complete when it starts.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.declarations.manifest import StartedBy
from lab.errors import NotReady, PeerError
from lab.network.control import Control
from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.runtime.admin import write_files
from lab.runtime.containers.container_specs import (
    GATE,
    RESOLV,
    SERVICES,
    ContainerSpec,
    build_server_spec,
    build_services_spec,
)
from lab.runtime.containers.engine import SERVER, DockerEngine, build_name, first_error
from lab.runtime.containers.image_specs import find_python_image
from lab.runtime.containers.preparation import find_image, find_site
from lab.runtime.protocol import Progress, Written
from lab.runtime.server_files import change_owner
from lab.servers.software import File
from lab.system.files import read_last_lines, write_private
from lab.system.processes import SERVER_UID

if TYPE_CHECKING:
    from docker import DockerClient

_SERVICES_PATIENCE = 60.0  # seconds: 1 on an idle machine
_POLL = 0.02  # seconds between two tries to reach the services' control socket
_CHECK = 0.5  # seconds between two checks whether their container still runs
_EVIDENCE = 12  # last lines quoted of their log
_RESOLVER = "nameserver {}\noptions timeout:1 attempts:2\n"


async def start(engine: DockerEngine, layout: Layout, plan: Plan, written: Written, progress: Progress) -> None:
    """Return once the services answer and every server has been started. Raises NotReady."""
    libraries = find_site(await engine.machine())
    write_shared(layout, plan)
    network, client = build_name(layout), engine.client
    contained = [server for server in plan.servers if server.spec.manifest.started_by is StartedBy.LAB]
    own, custom = (
        [
            build_server_spec(layout, plan, one, find_image(one.spec))
            for one in contained
            if (one.spec.custom is None) is known
        ]
        for known in (True, False)
    )
    count_started = _counter(progress, len(contained))

    def run(spec: ContainerSpec) -> None:
        client.api.start(create(client, spec, network))
        (_seen_by_services(layout).started / spec.labels[SERVER]).touch()
        count_started()

    services = build_services_spec(layout, plan, find_python_image().tag, libraries)
    with first_error():
        async with asyncio.TaskGroup() as group:
            names = group.create_task(_start_services(engine, layout, services, network))
            await asyncio.sleep(0)  # so that the services are the first in the engine's queue
            group.create_task(engine.each(run, own))
            await written
            await names
            await asyncio.to_thread(_open_gates, layout, [server.spec.name for server in plan.servers])
            await engine.each(run, custom)


def _open_gates(layout: Layout, servers: Sequence[str]) -> None:
    for name in servers:
        write_files(layout.server(name), [File(GATE, "")])


def create(client: DockerClient, spec: ContainerSpec, network: str | None) -> str:
    """Create a container; its id. Raises PeerError with the engine's message."""
    from docker.errors import APIError

    try:
        return str(client.api.create_container(**spec.arguments(client.api, network))["Id"])
    except APIError as error:
        raise PeerError(f"the engine does not create {spec.name or spec.image}: {error.explanation}") from error


def write_shared(layout: Layout, plan: Plan) -> None:
    """Write what containers share with the host: the servers' resolver, the services' folder, the people's folder."""
    resolver = layout.root / RESOLV
    resolver.write_text(_RESOLVER.format(plan.services))
    resolver.chmod(0o644)
    services, started = layout.root / SERVICES, _seen_by_services(layout).started
    services.mkdir(mode=0o700)
    started.mkdir(mode=0o700)
    (services / layout.plan.name).write_bytes(layout.plan.read_bytes())
    for path in (layout.control, layout.service_log, layout.service, layout.service_lock):
        path.symlink_to(Path(SERVICES) / path.name)
    people = layout.root / "people"
    people.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        for folder in (services, services / layout.plan.name, started, people):
            os.chown(folder, SERVER_UID, SERVER_UID)


def share_certificates(layout: Layout, plan: Plan, servers: Sequence[str]) -> None:
    """Copy the certificates and keys of servers to where the services see them: they have no others.

    A copy is its reader's from the first: the services may read it at any moment for an attack that acts already.
    """
    seen, owner = _seen_by_services(layout), None if os.geteuid() else SERVER_UID
    for name in servers:
        domain = plan.server(name).certificate.domain
        folder = seen.server(name) / "certs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for suffix in ("crt", "key"):
            found = layout.server(name) / "certs" / f"{domain}.{suffix}"
            write_private(folder / found.name, found.read_bytes(), owner=owner)
    if servers and owner is not None:
        change_owner(seen.root / "servers", owner)


def shares_certificates(layout: Layout, plan: Plan, server: str) -> bool:
    """Whether the services have a copy of a server's certificate and key."""
    domain = plan.server(server).certificate.domain
    return (_seen_by_services(layout).server(server) / "certs" / f"{domain}.key").exists()


def _seen_by_services(layout: Layout) -> Layout:
    """The lab's folder as its services see it."""
    return Layout(layout.root / SERVICES)


async def _start_services(engine: DockerEngine, layout: Layout, spec: ContainerSpec, network: str) -> None:
    def run() -> str:
        container = create(engine.client, spec, network)
        engine.client.api.start(container)
        return container

    container = await engine.call(run)
    deadline = time.monotonic() + _SERVICES_PATIENCE
    next_check = time.monotonic() + _CHECK
    while not await _answers(layout):
        if time.monotonic() > next_check:
            state = (await engine.ask(engine.client.api.inspect_container, container))["State"]
            if not state["Running"]:
                raise NotReady(f"the lab's services ended with exit code {state['ExitCode']}", _log_lines(layout))
            next_check = time.monotonic() + _CHECK
        if time.monotonic() > deadline:
            raise NotReady(f"the lab's services do not answer after {_SERVICES_PATIENCE:.0f} s", _log_lines(layout))
        await asyncio.sleep(_POLL)


async def _answers(layout: Layout) -> bool:
    try:
        async with Control(layout.control):
            return True
    except PeerError:
        return False


def _log_lines(layout: Layout) -> tuple[str, ...]:
    """The last lines of the services' log."""
    return tuple(read_last_lines(layout.service_log, _EVIDENCE)) or ("its log was never written",)


def _counter(progress: Progress, total: int) -> Callable[[], None]:
    """Reports how many servers have been started; called from several threads, it reports in the loop's own."""
    loop = asyncio.get_running_loop()
    count = 0

    def one() -> None:
        nonlocal count
        count += 1
        progress(f"{count} of {total} servers started")

    def report() -> None:
        loop.call_soon_threadsafe(one)

    return report
