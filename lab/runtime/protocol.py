"""What carries out a plan: one protocol, two implementations, `containers` and `processes`.

A runtime starts servers and never renders their configuration. Coroutines say what is true once they return.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lab.errors import MissingError
from lab.network.server_outages import ServerControl
from lab.plan.layout import Layout
from lab.plan.model import Plan, RuntimeFacts
from lab.servers.software import Operation
from lab.topology.spec import Server

#: The module that is an agent, unless another one is asked for.
AGENT = "lab.clients.agent"

Written = Awaitable[None]  # done once all files of the servers are written; may be awaited several times
Progress = Callable[[str], None]  # called with a short sentence about what is being done


@dataclass(frozen=True)
class ServerState:
    """What a runtime knows of one server's process."""

    running: bool
    pid: int | None = None  # of the main process, as the host sees it
    exit_code: int | None = None
    detail: str = ""
    changes: Sequence[tuple[float, bool]] = ()  # when (seconds since the epoch) it was started (True) and ended (False)


@dataclass(frozen=True)
class Prerequisite:
    """One line of `xmpplab doctor`."""

    what: str
    good: bool
    found: str
    remedy: str = ""  # what to do, where it is not good


@dataclass
class AddressReservation:
    """Addresses reserved for one lab until `release`: no other lab can take them meanwhile."""

    network: str  # CIDR
    descriptors: tuple[int, ...] = ()  # open files that are the reservation, inherited by the service
    release: Callable[[], None] = field(default=lambda: None)


@dataclass
class Pipes:
    """An agent's standard input and output (JSON Lines); `close` ends it and returns once it has ended."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    close: Callable[[], asyncio.Future[None]]
    pid: int | None = None  # as the host sees it, None where the host cannot see it


def explain_taken_network(network: str) -> MissingError:
    """The error for addresses that are kept for labs and in use."""
    return MissingError(
        f"the addresses {network}, which the file of credentials keeps, are in use: end the lab that has them (xmpplab "
        "status, xmpplab down; it may be another user's), or name another file"
    )


class Runtime(Protocol):
    """Carries plans out."""

    name: str

    def check_prerequisites(self) -> list[Prerequisite]:
        """Whether this runtime can work on this machine, and what to do where it cannot."""
        ...

    async def prepare(self, servers: Sequence[Server], progress: Progress) -> None:
        """Provide the servers' software (packages unpacked, images built). Raises MissingError."""
        ...

    async def reserve(
        self, layout: Layout, servers: Sequence[Server], *, owned: bool = False, network: str | None = None
    ) -> AddressReservation:
        """Reserve addresses that no other lab on this machine uses; with `owned` they are released when we end.

        With `network` those, as an earlier reservation had them. The servers' software need not be provided yet. Raises
        MissingError if no addresses are free, or those are not.
        """
        ...

    async def get_facts(
        self, layout: Layout, servers: Sequence[Server], reservation: AddressReservation
    ) -> RuntimeFacts:
        """What the plan needs to know, once software (`prepare`) and addresses (`reserve`) are provided."""
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

        The servers' folders exist; no server runs before `written` is done, which fills them. With `owned` the lab
        ends, and its folder is deleted, when this process ends, however it ends.
        """
        ...

    async def read_states(self, layout: Layout, plan: Plan, *, pids: bool = False) -> dict[str, ServerState]:
        """Each server's process, by server name. Its pid is only there with `pids`: an engine is asked for each."""
        ...

    async def operate(
        self, layout: Layout, plan: Plan, server: str, operations: Sequence[Operation]
    ) -> tuple[str, ...]:
        """Carry out operations on a running server; what it answered to each. Raises PeerError if it refuses."""
        ...

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
        """Start an agent on the lab's network: `python -m` a module of the lab's, or the user's own command.

        The agent can read and write the lab's folder `people` under the path that it has on the host. With `server`, a
        scripted one, it can listen at that server's address, and read the server's certificates.
        With `own_address` the lab's own agent connects from an address that no other agent has as long as it runs, and
        is somebody's own. With containers, of `people` it sees `folder` only (which exists), and
        a scripted server sees nothing.
        Raises PeerError if all addresses for agents are in use.
        """
        ...

    async def find_libraries(self, library: str, package: str) -> str | None:
        """The folder with a shared library as agents see it, fetched if need be; None where they have it anyway.

        `package` is Debian's of the library. Raises MissingError.
        """
        ...

    async def execute(self, layout: Layout, plan: Plan, server: str, argv: Sequence[str]) -> int:
        """Run a command in a server's environment with this terminal's input and output; returns its exit code."""
        ...

    def build_server_control(self, layout: Layout, plan: Plan) -> ServerControl:
        """What ends, starts and pauses the servers of a running lab."""
        ...

    def share_certificates(self, layout: Layout, plan: Plan, servers: Sequence[str]) -> None:
        """Let the lab's service read the certificates and keys of these servers, and of no others."""
        ...

    def renew_shared_certificates(self, layout: Layout, plan: Plan, server: str) -> None:
        """A server has another certificate: let the service read that one, if it was let read the one before."""
        ...

    async def find_service_pid(self, layout: Layout) -> int | None:
        """The pid of the lab's service (DNS and relays), as the host sees it; None where it does not run."""
        ...

    def is_running(self, layout: Layout) -> bool:
        """True while the lab's service runs; a lab whose service has ended is a leftover."""
        ...

    async def stop(self, layout: Layout) -> None:
        """End everything of the lab but its folder; returns once all has ended. Also for partly started labs."""
        ...
