"""A lab that is up: its plan, the runtime that carries it out, its secret; and how a lab is ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.declarations.domains import a_labels
from lab.declarations.encryptions import get_encryption
from lab.errors import MissingError
from lab.network import lab_folder
from lab.network.control import Control
from lab.network.publication import end_publication
from lab.plan.layout import Layout
from lab.plan.model import Plan
from lab.runtime.lab_record import STOPPING, LabRecord, locked
from lab.runtime.protocol import AGENT, Pipes, Runtime, ServerState
from lab.servers.software import Operation, ScramKeys


@dataclass(frozen=True)
class Lab:
    """A running lab. Made by `lab.lifecycle.up.up`, or by `attach` and `find` of lab.lifecycle.registry."""

    layout: Layout
    plan: Plan
    runtime: Runtime
    password: str  # of every account
    keys: ScramKeys  # what the servers store of it
    owned: bool = False  # it ends with this process
    unknown: tuple[tuple[str, str], ...] = ()  # edges over which no server could ping
    ended: tuple[str, ...] = ()  # a sentence for each server that had ended when this was made
    source: str = ""  # what its topology was read from, valid in every folder; "" if it is not known

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.layout.name

    @property
    def authority(self) -> str:
        """The certificate of the lab's authority, PEM."""
        from lab.runtime.server_files import read_authority_certificate

        return read_authority_certificate(self.layout)

    def trusted(self, server: str) -> str:
        """What clients of a server trust, PEM: the authority; or, where they see a wrong certificate, that very one."""
        plan = self.plan.server(server)
        if plan.spec.proves_domain or plan.certificate.clients:
            return self.authority
        chain = (self.layout.server(server) / "certs" / f"{a_labels(plan.spec.domain)}.crt").read_text()
        leaf, end, _ = chain.partition("-----END CERTIFICATE-----\n")
        return leaf + end

    def agent_folder(self, server: str, user: str, resource: str) -> str:
        """The folder of a device's keys and trust: the same path for an agent as for us."""
        return str(self.layout.device(server, user, resource))

    async def read_states(self) -> dict[str, ServerState]:
        """Each server's process, by server name."""
        return await self.runtime.read_states(self.layout, self.plan, pids=True)

    async def create_accounts(self, server: str, users: Sequence[str], keys: ScramKeys | None = None) -> None:
        """Make accounts on a server, with the lab's password or these keys; they can log in once this returns.

        Raises PeerError if the server refuses.
        """
        from lab.servers import get_software

        spec = self.plan.server(server).spec
        software = get_software(spec.software)
        stored = replace(keys or self.keys, hash=software.password_hash(spec))
        await self.operate(server, software.accounts(spec.domain, users, stored))

    async def write_rosters(self, server: str, rosters: Mapping[str, Sequence[str]]) -> None:
        """Give people of a server who are not online these rosters, whole: addresses of contacts by user name.

        Each is subscribed both ways, see `Software.rosters`. Raises PeerError if the server refuses.
        """
        from lab.servers import get_software

        spec = self.plan.server(server).spec
        await self.operate(server, get_software(spec.software).rosters(spec.domain, rosters))

    async def operate(self, server: str, operations: Sequence[Operation]) -> tuple[str, ...]:
        """Carry operations out on a running server; what it answered to each. Raises PeerError if it refuses."""
        return await self.runtime.operate(self.layout, self.plan, server, operations)

    def open_control(self) -> Control:
        """A connection to the lab's service, to be entered with `async with`; docs/network.md has its operations."""
        return Control(self.layout.control)

    async def start_agent(
        self,
        argv: Sequence[str] | None = None,
        *,
        server: str | None = None,
        module: str = AGENT,
        own_address: bool = False,
        folder: Path | None = None,
    ) -> Pipes:
        """An agent on the lab's network: a module of the lab's, or the user's command (`Runtime.start_agent`)."""
        return await self.runtime.start_agent(
            self.layout, self.plan, argv, server=server, module=module, own_address=own_address, folder=folder
        )

    async def find_libraries(self, encryption: str) -> str | None:
        """The folder with what devices need for an encryption; None if they need nothing.

        Raises MissingError, UserError for an unknown one.
        """
        declared = get_encryption(encryption)
        if not declared.library:
            return None
        return await self.runtime.find_libraries(declared.library, declared.library_package)

    async def execute(self, server: str, argv: Sequence[str]) -> int:
        """Run a command in a server's environment with this terminal's input and output; returns its exit code."""
        return await self.runtime.execute(self.layout, self.plan, server, argv)

    async def down(self) -> None:
        """End the lab and delete its folder; returns once nothing of it is left. Raises TimedOut."""
        await take_down(self.layout, self.runtime)


async def require_libraries(runtime: Runtime, encryptions: Iterable[str]) -> None:
    """Return once the libraries of these encryptions are there. Raises MissingError, UserError for an unknown one."""
    for name in dict.fromkeys(encryptions):
        declared = get_encryption(name)
        if not declared.library:
            continue
        try:
            await runtime.find_libraries(declared.library, declared.library_package)
        except MissingError as error:
            raise MissingError(f"{name} cannot be used: {error}") from error


async def take_down(layout: Layout, runtime: Runtime) -> None:
    """End a lab and delete its folder; returns once nothing of it is left. Raises TimedOut with what still runs."""
    try:
        async with locked(layout):
            await end(layout, runtime)
            await asyncio.to_thread(lab_folder.remove, layout)
    except FileNotFoundError:  # another process has ended it
        return


async def end(layout: Layout, runtime: Runtime) -> None:
    """End whatever runs of a lab whose lock is held, and delete all but its lock.

    Folders are deleted in a thread: what blocks the event loop while a signal ends the work is interrupted.
    """
    record = LabRecord.read(layout)
    if record is not None:
        with contextlib.suppress(OSError):  # the disk may be full: ending the lab is what helps then
            record.enter_phase(STOPPING).write(layout)
    await end_publication(layout)
    await runtime.stop(layout)
    await asyncio.to_thread(lab_folder.empty, layout)
