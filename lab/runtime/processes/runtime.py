"""The runtime `processes`: servers as plain processes on loopback addresses; no root, no engine, nothing installed.

The lab's service (`python -m lab.network.service`) is the parent of the servers and outlives us; it inherits the
socket that reserves the lab's addresses. With `owned` it also inherits one end of a pipe whose other end only we
hold: when we end, however that happens, it reads the end of the file, ends the lab and deletes the folder.

The service is controlled over its socket; when it has ended, all processes with the lab's mark are ended without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.errors import LabError, MissingError, TimedOut, UserError
from lab.network.control import Control
from lab.network.lab_folder import is_service_running
from lab.network.server_processes import PATH
from lab.plan.layout import Layout
from lab.plan.model import Plan, RuntimeFacts
from lab.runtime.admin import carry_out
from lab.runtime.agent_process import spawn_agent
from lab.runtime.debian import apt, clients, libraries, trees
from lab.runtime.processes import loopback, supervisor
from lab.runtime.processes.server_control import RemoteProcessControl
from lab.runtime.protocol import AGENT, AddressReservation, Pipes, Prerequisite, Progress, ServerState, Written
from lab.servers.conventions import TOOLS
from lab.servers.software import Operation
from lab.system.processes import MARK, SERVER_UID, Identity, describe_processes, die_with_parent, end_members
from lab.system.subprocesses import build_python_command
from lab.topology.spec import Custom, Server

STOP_PATIENCE = 10.0  # seconds for an orderly end: the service gives its servers 3, then kills them
_POLL = 0.02  # seconds


class Processes:
    """Carries out plans with plain processes."""

    name = "processes"

    def check_prerequisites(self) -> list[Prerequisite]:
        """Whether this runtime can work on this machine, and what to do where it cannot."""
        from lab.runtime.processes.prerequisites import check_prerequisites

        return check_prerequisites()

    async def prepare(self, servers: Sequence[Server], progress: Progress) -> None:
        """Make sure that trees and modules for these servers are in the cache. Raises MissingError."""
        for custom in _list_with_packages(servers):
            _check_reachable(await clients.ensure_client(custom.name, custom.packages, progress))
        releases = _releases(servers)
        if not releases:
            return
        made = {release: await trees.ensure_tree(release, progress) for release in releases}
        await trees.ensure_modules(made, progress)
        for tree in made.values():
            _check_reachable(tree)

    async def reserve(
        self, layout: Layout, servers: Sequence[Server], *, owned: bool = False, network: str | None = None
    ) -> AddressReservation:
        """Reserve a 127.S.0.0/16, until we end unless a service inherits it. Raises MissingError if there is none."""
        reserved, holder = loopback.reserve_network(len(servers), network)
        return AddressReservation(reserved, (holder.fileno(),), holder.close)

    async def get_facts(
        self, layout: Layout, servers: Sequence[Server], reservation: AddressReservation
    ) -> RuntimeFacts:
        """The programs are in the trees of the cache. Raises MissingError where they are not."""
        made = {release: trees.find_tree(release, await apt.get_architecture()) for release in _releases(servers)}
        own = {
            f"{one.name}@": str(clients.find_tree(one.name, one.packages, await apt.get_architecture()))
            for one in _list_with_packages(servers)
        }
        return RuntimeFacts(
            runtime=self.name,
            network=reservation.network,
            folders=str(layout.root / "servers" / "{server}"),
            prefixes=tuple(sorted((_prefixes(servers, made) | own).items())),
            modules=str(trees.find_modules_folder(made) / "{software}-{version}"),
            libraries=apt.find_triplet(next(iter(made.values()))) if made else "",
        )

    async def start(
        self,
        layout: Layout,
        plan: Plan,
        reservation: AddressReservation,
        *,
        written: Written,
        owned: bool,
        progress: Progress,
    ) -> None:
        """Start the service, which starts every server; returns once each has been started."""
        await written
        await supervisor.start(layout, reservation.descriptors, servers=len(plan.servers), owned=owned)

    async def read_states(self, layout: Layout, plan: Plan, *, pids: bool = False) -> dict[str, ServerState]:
        """Each server's process, by name. Raises PeerError if the lab's service has ended."""
        status = await self.read_status(layout)
        return {name: ServerState(**state) for name, state in status["servers"].items()}

    async def read_status(self, layout: Layout) -> dict[str, Any]:
        """The service's own status: servers, relays, DNS."""
        async with Control(layout.control) as control:
            return await control.call("status")

    async def operate(
        self, layout: Layout, plan: Plan, server: str, operations: Sequence[Operation]
    ) -> tuple[str, ...]:
        """Carry operations out on a running server; what it answered. Raises PeerError if it refuses."""
        return await carry_out(layout.server(server), operations)

    async def start_agent(
        self,
        layout: Layout,
        plan: Plan,
        argv: Sequence[str] | None = None,
        *,
        server: str | None = None,
        module: str = AGENT,
        own_address: bool = False,
        folder: Path | None = None,
    ) -> Pipes:
        """Start an agent as a child process: it ends with us, or when `close` has been awaited.

        It can listen at any loopback address and reads what we can read: no `server` and `folder` make a difference.
        """
        mark = {MARK: str(layout.root)}
        if not own_address or argv:
            return await spawn_agent(list(argv) if argv else build_python_command(module), mark)
        address, holder = loopback.reserve_agent(plan.facts.network)
        try:
            pipes = await spawn_agent(build_python_command(module, "--address", address), mark)
        except BaseException:
            holder.close()
            raise

        async def close() -> None:
            with holder:
                await pipes.close()

        return replace(pipes, close=lambda: asyncio.ensure_future(close()))

    async def find_libraries(self, library: str, package: str) -> str | None:
        """From the machine, or fetched into the cache."""
        return await libraries.find_library(library, package)

    async def execute(self, layout: Layout, plan: Plan, server: str, argv: Sequence[str]) -> int:
        """Run a command in the server's folder, as the server's user, with this terminal; its exit code.

        The administration tools of the server's own packages come first in its PATH (`prosodyctl`).
        """
        uid = SERVER_UID if os.geteuid() == 0 else None
        environment = _exec_environment(layout, plan, server)
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                cwd=layout.server(server),
                env=environment,
                user=uid,
                group=uid,
                extra_groups=None if uid is None else [],
                preexec_fn=die_with_parent(),
            )
        except FileNotFoundError as error:
            raise UserError(
                f"{argv[0]}: not found in the environment of {server} (PATH is {environment['PATH']})"
            ) from error
        return await process.wait()

    async def stop(self, layout: Layout) -> None:
        """End the service and every process of the lab. Raises TimedOut with what still runs."""
        if is_service_running(layout):
            with contextlib.suppress(LabError):  # it may be ending, or hang: then all marked processes are killed
                async with Control(layout.control) as control:
                    await control.call("shutdown")
                await _wait_ended(layout)
        if left := await end_members(layout.root):
            raise TimedOut(
                f"processes of the lab {layout.name} cannot be ended",
                describe_processes(left),
            )
        await _wait_ended(layout)  # a process that ends loses its environment a moment before it closes its files
        supervisor.release(layout)

    def build_server_control(self, layout: Layout, plan: Plan) -> RemoteProcessControl:
        """By way of the lab's service."""
        return RemoteProcessControl(layout, plan)

    def share_certificates(self, layout: Layout, plan: Plan, servers: Sequence[str]) -> None:
        """Nothing to do: the service reads the lab's folder."""

    def renew_shared_certificates(self, layout: Layout, plan: Plan, server: str) -> None:
        """Nothing to do: the service reads the lab's folder."""

    async def find_service_pid(self, layout: Layout) -> int | None:
        """The lab's service, the parent of the servers."""
        found = Identity.from_json(json.loads(layout.service.read_text())) if layout.service.is_file() else None
        return found.pid if found is not None and found.alive else None

    def is_running(self, layout: Layout) -> bool:
        """True while the lab's service runs."""
        return is_service_running(layout)


async def _wait_ended(layout: Layout) -> None:
    deadline = time.monotonic() + STOP_PATIENCE
    while is_service_running(layout):
        if time.monotonic() > deadline:
            raise TimedOut(f"the service of {layout.name} does not end")
        await asyncio.sleep(_POLL)


def _releases(servers: Sequence[Server]) -> list[str]:
    """Debian releases of these servers' packages, each once."""
    return sorted({version.suite for one in servers if (version := one.manifest.version(one.version))})


def _list_with_packages(servers: Sequence[Server]) -> list[Custom]:
    """Servers of the user's own that need packages of Debian, each once."""
    return list(dict.fromkeys(one.custom for one in servers if one.custom is not None and one.custom.packages))


def _prefixes(servers: Sequence[Server], made: dict[str, Path]) -> dict[str, str]:
    found = {}
    for one in servers:
        if version := one.manifest.version(one.version):
            found[f"{one.software}@{one.version}"] = str(made[version.suite])
    return found


def _exec_environment(layout: Layout, plan: Plan, server: str) -> dict[str, str]:
    spec, folder = plan.server(server).spec, layout.server(server)
    prefix = dict(plan.facts.prefixes).get(f"{spec.software}@{spec.version}")
    path = f"{folder}/{TOOLS}:{prefix}/{trees.TOOLS}:{PATH}" if prefix else PATH
    kept = {name: os.environ[name] for name in ("TERM", "LANG", "COLUMNS", "LINES") if name in os.environ}
    own = dict(plan.server(server).environment)
    return {**kept, **own, "PATH": path, "HOME": str(folder), MARK: str(layout.root)}


def _check_reachable(tree: Path) -> None:
    """As root, servers run as another user, who must be able to reach their programs and folders."""
    if os.geteuid() != 0:
        return
    for folder in tree.parents:
        if not folder.stat().st_mode & 0o001:
            raise MissingError(
                f"{folder} may only be entered by its owner, and servers started by root run as user {SERVER_UID}: "
                f"`chmod o+x {folder}`, or set XMPPLAB_HOME to a folder that everybody may enter"
            )
