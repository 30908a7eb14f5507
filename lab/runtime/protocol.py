"""What carries a plan out: one protocol, two implementations, `containers` and `processes`.

A runtime starts and never renders. Public coroutines say what is true once they return.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lab.plan.layout import Layout
from lab.plan.model import Plan, RuntimeFacts
from lab.servers.software import Operation
from lab.system.processes import SERVER_UID
from lab.topology.spec import Server

__all__ = ["SERVER_UID", "AddressReservation", "Pipes", "Prerequisite", "Progress", "Runtime", "ServerState", "Written"]

#: The module that is an agent, unless another one is asked for.
AGENT = "lab.clients.agent"

Written = Awaitable[None]  # done once all files are where a server will look for them; may be awaited by several
Progress = Callable[[str], None]  # told a short sentence whenever something is under way


@dataclass(frozen=True)
class ServerState:
    """What a runtime knows of one server's process."""

    running: bool
    pid: int | None = None  # of the main process, as the host sees it
    exit_code: int | None = None
    detail: str = ""


@dataclass(frozen=True)
class Prerequisite:
    """One line of `xmpplab doctor`."""

    what: str
    good: bool
    found: str
    remedy: str = ""  # what to do, where it is not good


@dataclass
class AddressReservation:
    """Addresses held for one lab until it is started or given back: no other lab can take them meanwhile."""

    network: str  # CIDR
    descriptors: tuple[int, ...] = ()  # open files that hold the reservation, inherited by the service
    release: Callable[[], None] = field(default=lambda: None)


@dataclass
class Pipes:
    """An agent's standard input and output (JSON Lines); `close` ends it and returns once it is gone."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    close: Callable[[], asyncio.Future[None]]
    pid: int | None = None  # as the host sees it, None where it does not


class Runtime(Protocol):
    """Carries plans out."""

    name: str

    def prerequisites(self) -> list[Prerequisite]:
        """Whether this runtime can work on this machine, and what to do where it cannot."""
        ...

    async def prepare(self, servers: Sequence[Server], progress: Progress) -> None:
        """Make sure the servers' software is there (packages unpacked, images built). Raises MissingError."""
        ...

    async def reserve(self, layout: Layout, servers: Sequence[Server], *, owned: bool = False) -> AddressReservation:
        """Take addresses that no other lab on this machine uses; with `owned` they, too, end with this process.

        The servers' software need not be there yet. Raises MissingError if there are none.
        """
        ...

    async def facts(self, layout: Layout, servers: Sequence[Server], reservation: AddressReservation) -> RuntimeFacts:
        """What a plan stands on, once the software is there (`prepare`) and addresses are taken (`reserve`)."""
        ...

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
        """Start the service and every server; returns once each has been started (not: is ready).

        The servers' folders are there; no server runs before `written` is done, which fills them. With `owned` the lab
        ends, and its folder is deleted, when this process ends, however it ends.
        """
        ...

    async def states(self, layout: Layout, plan: Plan, *, pids: bool = False) -> dict[str, ServerState]:
        """Each server's process, by server name. Its pid is only there with `pids`: an engine is asked for each."""
        ...

    async def operate(self, layout: Layout, plan: Plan, server: str, operations: Sequence[Operation]) -> None:
        """Carry operations out on a running server. Raises PeerError if it refuses."""
        ...

    async def agent(
        self,
        layout: Layout,
        plan: Plan,
        argv: Sequence[str] | None = None,
        *,
        server: str | None = None,
        module: str = AGENT,
    ) -> Pipes:
        """Start an agent on the lab's network: `python -m` a module of the lab's, or the user's own command.

        The lab's folder `people` is there under the path that it has on the host, readable and writable. With `server`,
        a scripted one, it can listen at that server's address, and reads the server's certificates where the host does.
        """
        ...

    async def execute(self, layout: Layout, plan: Plan, server: str, argv: Sequence[str]) -> int:
        """Run a command beside a server with this terminal's input and output; its exit code."""
        ...

    async def services(self, layout: Layout) -> int | None:
        """The process of the lab's names and relays, as the host sees it; None where it does not run."""
        ...

    def alive(self, layout: Layout) -> bool:
        """True while the lab's service lives; a lab whose service is gone is a leftover."""
        ...

    async def stop(self, layout: Layout) -> None:
        """End everything of the lab but its folder; returns once it is gone. Also for half-started labs."""
        ...
