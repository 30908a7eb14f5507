"""The running network that a script or a test uses.

It is the network and nothing else: servers, links, people, faults, a history. Steps and expectations belong to
the run. What happens goes into the history as events of lab.history.events; nothing is judged here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import count
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from lab.declarations.manifest import Accounts, StartedBy
from lab.errors import LabError, NotApplicable, UserError, describe
from lab.federation import administration, agreement, collection, markers
from lab.federation.context import Context
from lab.federation.dispatch import Dispatch
from lab.federation.evidence import Evidence, record_server_states
from lab.federation.guests import Guest
from lab.federation.participants import Participants
from lab.federation.peers import Peer
from lab.federation.people import Person, stand_in
from lab.federation.programs import Program, run_client, run_program
from lab.federation.servers import LinkHandle, ServerHandle
from lab.history.events import FaultApplied, FaultHealed, FieldValue, ServerSaw
from lab.history.recorder import Recorder
from lab.lifecycle.lab import Lab

T_co = TypeVar("T_co", covariant=True)


class Fault(Protocol[T_co]):
    """A fault is a value: `apply` starts it and returns what a script can use meanwhile, `heal` ends it.

    It is plain data, best a frozen dataclass, and goes into the history. lab.faults has those of the lab.
    """

    @property
    def name(self) -> str:
        """What the fault is called, such as "partition"."""
        ...

    @property
    def servers(self) -> Sequence[str]:
        """Names of the servers that it acts on."""
        ...

    @property
    def fields(self) -> Mapping[str, FieldValue]:
        """What else describes it, by name: plain data for the history."""
        ...

    async def apply(self, federation: Federation) -> T_co:
        """Apply it. It acts once this returns."""
        ...

    async def heal(self, federation: Federation) -> None:
        """End it. It acts no longer once this returns. Called also where `apply` failed halfway, or was cancelled."""
        ...


class Federation:
    """Servers, links and people of one running lab. For a scenario or a test it has been entered (`async with`)."""

    def __init__(self, lab: Lab, history: Recorder, *, inline: bool = False) -> None:
        """With `inline` devices run in this process, for a debugger (runtime `processes` only)."""
        self.lab = lab
        self.history = history
        self.context = Context(lab, history, inline=inline)
        self.participants = Participants(self.context)
        self.context.on_event = Dispatch(self.participants).handle
        self._servers: dict[str, ServerHandle] = {}
        for one in lab.plan.servers:
            self._servers[one.spec.name] = ServerHandle(self.participants, self._servers, one.spec.name)
        self.servers = tuple(self._servers.values())
        self._evidence = Evidence(self.context, self.servers, self._on_seen)
        self._injections = count(1)

    async def __aenter__(self) -> Self:
        await administration.restore_left(self.context)
        await self._evidence.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect every device. Called at the end of the `async with` block.

        The servers keep running: registration is closed again, and who was refused is accepted; accounts stay.
        """
        try:
            await administration.restore(self.context)
        finally:
            await self._evidence.close()
            await self.context.close()

    def _on_seen(self, event: ServerSaw) -> None:
        """What a client of a person's own asks of its server; those of the lab's devices say it themselves."""
        for guest in self.participants.guests:
            guest.on_seen(event)
        if (event.stream, event.name) != ("c2s", "iq"):
            return
        client = (event.peer or event.sender if event.direction == "in" else event.peer or event.receiver) or ""
        if client not in {one.jid for one in self.participants.devices.values()}:
            self.participants.block_requests.on_seen(event)

    # -- the graph ---------------------------------------------------------------------------------------------

    def server(self, name: str) -> ServerHandle:
        """The server of that name in the topology. Raises UserError if there is none."""
        if name not in self._servers:
            raise UserError(f"no server {name!r} in this topology: there are {', '.join(self._servers)}")
        return self._servers[name]

    def link(self, source: ServerHandle, target: ServerHandle) -> LinkHandle:
        """The route from one server to another, linked or not (RFC 6120 section 10.4).

        Its `promise` is what the outcome of a message on this route must be: give both to `expect`.
        """
        return LinkHandle.between(self.context, source, target)

    def linked_pair(self) -> tuple[ServerHandle, ServerHandle]:
        """Two servers with a link: those of the topology's first. Raises NotApplicable without any link."""
        for link in self.lab.plan.topology.links:
            if not link.comes_up:
                continue
            return self.server(link.a), self.server(link.b)
        raise NotApplicable("no two servers of this topology are linked")

    def unlinked_pair(self) -> tuple[ServerHandle, ServerHandle]:
        """Two servers without a link: the first in the topology's order. Raises NotApplicable if all are linked."""
        topology = self.lab.plan.topology
        for index, a in enumerate(self.servers):
            for b in self.servers[index + 1 :]:
                if topology.link(a.name, b.name) is None:
                    return a, b
        raise NotApplicable("every two servers of this topology are linked")

    def hub(self) -> ServerHandle:
        """The server with most links, the first of several. Raises NotApplicable without any link."""
        best = max(self.servers, key=lambda server: len(server.neighbours))
        if not best.neighbours:
            raise NotApplicable("no server of this topology has a link")
        return best

    def peer(self) -> Peer:
        """The first scripted server of the topology, to be entered with `async with`.

        Raises NotApplicable if there is none.
        """
        for server in self.servers:
            if server.spec.manifest.started_by is StartedBy.SCRIPT:
                return server.peer()
        raise NotApplicable("no server of this topology has `software: scripted`")

    # -- people ------------------------------------------------------------------------------------------------

    async def people(self, *, encryption: str = "plain", trust: str = "blind") -> list[Person]:
        """A new person with one device on each server that can have people, in the topology's order.

        Returns once all are online, and raises, as `ServerHandle.person` does.
        """
        hosts = [server for server in self.servers if server.spec.manifest.accounts is not Accounts.NONE]
        return [await server.person(encryption=encryption, trust=trust) for server in hosts]

    async def befriend(self, one: Person | Guest, other: Person | Guest, within: str | float = "60s") -> None:
        """Let two people see each other's presence (RFC 6121 section 3): each asks, and the other grants it.

        For a guest a device of the lab's does it, which logs in with the guest's account and leaves again.
        `within` is in seconds, or a text such as "60s", for each request and each roster. Returns once both servers
        have the two subscribed both ways. Raises as `Person.subscribe`, `approve` and `roster` do, and UserError for
        one and the same.
        """
        if one is other:
            raise UserError(f"befriend: {one} would be their own friend: name two people")
        async with AsyncExitStack() as stack:
            first, second = [
                await stack.enter_async_context(stand_in(who)) if isinstance(who, Guest) else who
                for who in (one, other)
            ]
            for asking, granting in ((first, second), (second, first)):
                await asking.subscribe(granting)
                await granting.approve(asking, within=within)
            await first.roster({second: "both"}, within=within)
            await second.roster({first: "both"}, within=within)

    def process(
        self,
        argv: Sequence[str],
        *,
        stdin: str | None = None,
        environment: Mapping[str, str] | None = None,
        home: bool = False,
    ) -> AbstractAsyncContextManager[Program]:
        """Run a program of somebody's for the length of an `async with` block, as `xmpplab with` does.

        It finds the lab's servers by name and trusts their authority. `stdin` is all of its standard input, which stays
        open without it (`Program.write`); `environment` adds variables; with `home` it has an empty home folder. The
        block begins once it runs; at its end the program is ended if it still runs. What it wrote is in `output`, its
        last lines in the history. Raises UserError if there is no such program, MissingError where the kernel allows no
        namespaces.
        """
        return run_program(self.context, argv, stdin, environment, home)

    def client(
        self, name: str, guest: Guest, *arguments: str, stdin: str | None = None
    ) -> AbstractAsyncContextManager[Program]:
        """Run a client program for the length of an `async with` block, logged in as a guest, as `xmpplab client` does.

        Its packages are fetched at first use; its home is empty but for the account, and ends with it. `stdin` is as
        for `process`. Raises UserError for a client that the lab does not know, NotApplicable where it cannot be
        fetched, MissingError where the kernel allows no namespaces.
        """
        return run_client(self.context, name, guest, arguments, stdin)

    def secret(self) -> str:
        """A text with a canary: the secrecy check fails if a server can read it in what it saw or stores."""
        return self.context.new_canary()

    # -- faults ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def inject(self, fault: Fault[T_co]) -> AsyncIterator[T_co]:
        """Apply a fault for the length of an `async with` block, whose value is what the fault's `apply` returns.

        It is healed however the block ends, also where it could not be applied. Both are recorded, as FaultApplied and
        FaultHealed. Raises what `apply` raises, or `heal` after a block without an error; an error of `heal` after
        another error becomes a note of that one, if it is a LabError.
        """
        number = self.next_injection()
        try:
            yield await self._apply(fault, number)
        except BaseException as error:
            try:
                await self._heal(fault, number)
            except LabError as second:  # the first error is the one to look at; the history has both
                error.add_note(f"{_name(fault)} could not be healed either: {describe(second)}")
            raise
        await self._heal(fault, number)

    def next_injection(self) -> int:
        """The number of the next injection of this run, from 1, for its events."""
        return next(self._injections)

    async def _apply(self, fault: Fault[T_co], number: int) -> T_co:
        began, failure = self.history.now(), ""
        try:
            return await fault.apply(self)
        except BaseException as error:
            failure = describe(error)
            raise
        finally:
            self.history.record(
                FaultApplied(
                    at=self.history.now(),
                    number=number,
                    fault=_name(fault),
                    began=began,
                    servers=tuple(getattr(fault, "servers", ())),
                    fields=tuple(getattr(fault, "fields", {}).items()),
                    error=failure,
                )
            )

    async def _heal(self, fault: Fault[Any], number: int) -> None:
        began, failure = self.history.now(), ""
        try:
            await fault.heal(self)
        except BaseException as error:
            failure = describe(error)
            raise
        finally:
            at = self.history.now()
            self.history.record(FaultHealed(at=at, number=number, fault=_name(fault), began=began, error=failure))

    # -- the end -----------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Send a marker on every route that was used, and wait for it at most 20 seconds: a message that is missing
        behind it is lost (RFC 6120 section 10.1).

        Then rosters of which somebody spoke and rooms, after a fault also archives and OMEMO device lists, are read
        until they agree, at most 20 seconds, or 60 after the last fault, and what slow links need more. Called by the
        run at the end of a scenario.
        """
        await self._evidence.catch_up()
        await markers.settle(self.participants)
        await agreement.settle(self.participants, self._evidence.catch_up)

    async def catch_up(self) -> None:
        """Return once what servers have reported until now is in the history."""
        await self._evidence.catch_up()

    async def collect(self) -> None:
        """Search what the servers stored for canaries, and add the rest of what they saw to the history.

        Called by the run at its end.
        """
        await collection.search(self.participants, self.servers)
        await record_server_states(self.context)
        await self._evidence.finish()
        await collection.search_links(self.participants, self._evidence.search_capture)


def _name(fault: Fault[Any]) -> str:
    """What a fault is called; one of a script that has no name is called as its class is."""
    return str(getattr(fault, "name", type(fault).__name__))
