"""The running network that a script or a test holds in its hand.

It is the network and nothing else: servers, links, people, faults, a history. Steps and expectations belong to
the run. What happens goes into the history as events of lab.history.events; nothing is judged here.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from lab.declarations.manifest import Accounts, StartedBy
from lab.errors import LabError, NotApplicable, PeerError, UserError, describe
from lab.federation.dispatch import Dispatch
from lab.federation.messages import Message
from lab.federation.names import claim_name
from lab.federation.outcomes import Delivers
from lab.federation.people import Device, Person
from lab.federation.rooms import Room
from lab.federation.servers import LinkHandle, ServerHandle
from lab.history.events import Disconnected, FaultApplied, FaultHealed, FieldValue, NotSent, Sent

if TYPE_CHECKING:
    from lab.clients.remote import Agent
    from lab.federation.peers import Peer
    from lab.history.recorder import Recorder
    from lab.lifecycle.up import Lab

SEND_DEADLINE = 60.0

T_co = TypeVar("T_co", covariant=True)


class Fault(Protocol[T_co]):
    """A fault is a value: `apply` brings it about and returns what a script may ask of it, `heal` ends it.

    A fault that holds servers, a name or fields is best a frozen dataclass. What it is goes into the history.
    """

    @property
    def name(self) -> str:
        """What the fault is called, such as "partition"."""
        ...

    @property
    def servers(self) -> Sequence[ServerHandle]:
        """The servers it acts on."""
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
    """Servers, links and people of one running lab. Use it as an async context manager."""

    def __init__(self, lab: Lab, history: Recorder, *, inline: bool = False) -> None:
        self.lab = lab
        self.history = history
        self.authority = lab.authority
        self.servers = tuple(ServerHandle(self, one.spec.name) for one in lab.plan.servers)
        self.messages: dict[str, Message] = {}
        self.population: list[Person] = []
        self.canaries: list[str] = []
        self._inline = inline
        self._agent: Agent | None = None
        self._dispatch = Dispatch(self)
        self._tag = secrets.token_hex(3)  # message ids of two runs in one lab never meet
        self._numbers = count(1)
        self._injections = count(1)
        # Markers carry this text unencrypted: a search that does not find it where it must stand searched nothing.
        self.control = f"control-{secrets.token_hex(12)}"

    async def __aenter__(self) -> Self:
        self._dispatch.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Log everyone out and end the agent."""
        if self._agent is not None:
            agent, self._agent = self._agent, None
            await agent.close()

    # -- the graph ---------------------------------------------------------------------------------------------

    def server(self, name: str) -> ServerHandle:
        """The server of that name. Raises UserError."""
        for server in self.servers:
            if server.name == name:
                return server
        raise UserError(f"no server {name!r} in this topology: there are {', '.join(map(str, self.servers))}")

    def link(self, source: ServerHandle, target: ServerHandle) -> LinkHandle:
        """The way from one server to another, linked or not; its `promise` is what a message that way must meet."""
        return LinkHandle.between(self, source, target)

    def linked_pair(self) -> tuple[ServerHandle, ServerHandle]:
        """Two servers with a link: the topology's first. Raises NotApplicable."""
        for link in self.lab.plan.topology.links:
            return self.server(link.a), self.server(link.b)
        raise NotApplicable("no two servers of this topology are linked")

    def unlinked_pair(self) -> tuple[ServerHandle, ServerHandle]:
        """Two servers without a link: the first in the topology's order. Raises NotApplicable."""
        topology = self.lab.plan.topology
        for index, a in enumerate(self.servers):
            for b in self.servers[index + 1 :]:
                if topology.link(a.name, b.name) is None:
                    return a, b
        raise NotApplicable("every two servers of this topology are linked")

    def hub(self) -> ServerHandle:
        """The server of the highest degree, the first of several. Raises NotApplicable without any link."""
        best = max(self.servers, key=lambda server: len(server.neighbours))
        if not best.neighbours:
            raise NotApplicable("no server of this topology has a link")
        return best

    def peer(self) -> Peer:
        """The first scripted server of the topology, to be entered with `async with`. Raises NotApplicable."""
        for server in self.servers:
            if server.spec.manifest.started_by is StartedBy.SCRIPT:
                return server.peer()
        raise NotApplicable("no server of this topology has `software: scripted`")

    # -- people ------------------------------------------------------------------------------------------------

    async def people(self, *, encryption: str = "plain", trust: str = "blind") -> list[Person]:
        """Somebody new on each server that can have people, online, in the topology's order."""
        hosts = [server for server in self.servers if server.spec.manifest.accounts is not Accounts.NONE]
        return [await server.person(encryption=encryption, trust=trust) for server in hosts]

    async def make_person(
        self, server: ServerHandle, name: str | None, *, encryption: str, trust: str, devices: int
    ) -> Person:
        """See `ServerHandle.person`."""
        if devices < 1:
            raise UserError(f"a person needs at least one device, not {devices}")
        user = claim_name(self.lab.layout, server.spec, name, frozenset(one.name for one in self.population))
        if server.spec.manifest.accounts is Accounts.CREATED:
            await self.lab.accounts(server.name, [user])
        person = Person(self, server, user, encryption, trust)
        for _ in range(devices):
            await person.add_device()
        self.population.append(person)
        return person

    def register(self, device: Device) -> None:
        """Let events of this device be heard; done for every device before it connects."""
        self._dispatch.devices[device.key] = device

    # -- messages ----------------------------------------------------------------------------------------------

    def secret(self) -> str:
        """A text with a canary in it: the secrecy check looks for it wherever servers keep or tell things."""
        canary = f"canary-{secrets.token_hex(12)}"
        self.canaries.append(canary)
        return canary

    async def send(
        self, device: Device, to: Person | Room, text: str, *, encryption: str | None = None, marker: str | None = None
    ) -> Message:
        """See `Device.send`; with `marker`, a full JID, a message of settle() to that device."""
        room = isinstance(to, Room)
        scheme = "plain" if room or marker else encryption or device.person.encryption
        devices = to.devices() if isinstance(to, Room) else to.devices
        promise = Delivers() if room else self.link(device.person.server, to.server).promise
        message = Message(
            id=f"{self._tag}-{next(self._numbers)}",
            text=text,
            sender=device.person,
            device=device,
            receiver=to,
            encryption=scheme,
            promise=promise,
            expected=(marker,) if marker and not room else _expected(to, devices),
            marker=marker is not None,
        )
        self.messages[message.id] = message
        address = marker or to.jid
        self.history.record(self._sent(message, address, room))
        try:
            await self.call(
                "send", device.key, to=address, body=text, message=message.id, encryption=scheme, room=room,
                marker=message.marker, timeout=SEND_DEADLINE,
            )  # fmt: skip
        except LabError as error:
            self.history.record(NotSent(at=self.history.now(), message=message.id, reason=str(error)))
            raise
        return message

    def _sent(self, message: Message, address: str, room: bool) -> Sent:
        # Recorded before the agent is asked: an answer that overtakes it would be a message that nobody sent.
        return Sent(
            at=self.history.now(),
            message=message.id,
            sender=message.device.jid,
            receiver=address,
            stream=message.device.stream,
            encryption=message.encryption,
            room=room,
            marker=message.marker,
            canary=next((one for one in self.canaries if one in message.text), None),
            expected=message.expected,
        )

    # -- faults, the end -----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def inject(self, fault: Fault[T_co]) -> AsyncIterator[T_co]:
        """Apply a fault for the length of an `async with` block; the block gets what the fault's `apply` returns.

        It is healed however the block ends, also where it could not be applied. Both are recorded, as FaultApplied and
        FaultHealed. Raises what `apply` raises, or `heal` after a block without an error; an error of `heal` after
        another error becomes a note of that one, if it is a LabError.
        """
        number = next(self._injections)
        try:
            yield await self._apply(fault, number)
        except BaseException as error:
            try:
                await self._heal(fault, number)
            except LabError as second:  # the first error is the one to look at; the history has both
                error.add_note(f"{fault.name} could not be healed either: {describe(second)}")
            raise
        await self._heal(fault, number)

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
                    fault=fault.name,
                    began=began,
                    servers=tuple(server.name for server in fault.servers),
                    fields=tuple(fault.fields.items()),
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
            self.history.record(FaultHealed(at=at, number=number, fault=fault.name, began=began, error=failure))

    async def settle(self) -> None:
        """Send a marker on every route that was used and wait for it: what is missing behind it is lost."""
        from lab.federation.settling import settle

        await settle(self)

    def broken(self, device: Device, *, since: list[Message]) -> bool:
        """True if a stream of this device ended after the first of these messages was handed over."""
        ids = {message.id for message in since}
        started = False
        for event in self.history.events:
            started = started or (isinstance(event, Sent) and event.message in ids)
            if started and isinstance(event, Disconnected) and event.device == device.jid:
                return True
        return False

    async def collect(self) -> None:
        """Take what the servers saw and kept into the history, and search it for canaries."""
        from lab.federation.collecting import collect

        await collect(self, self._dispatch.offsets)

    # -- the agent -----------------------------------------------------------------------------------------------

    async def call(self, operation: str, device: str, /, **fields: Any) -> dict[str, Any]:
        """Ask the lab's agent for something; see lab.clients.protocol. Raises PeerError, TimedOut, UserError."""
        if self._agent is None:
            self._agent = await self.start_agent(self._dispatch.event)
        return await self._agent.call(operation, device or None, **fields)

    async def start_agent(self, on_event: Callable[[dict[str, Any]], None], *, server: str | None = None) -> Agent:
        """An agent of the lab's, in the place of a scripted server if one is named. Raises UserError, PeerError."""
        from lab.clients.remote import Agent

        if self._inline and self.lab.runtime.name != "processes":
            raise UserError("devices inside the script need the processes runtime: use --runtime processes")
        agent = Agent.inline() if self._inline else await self._piped_agent(server)
        agent.on_event = on_event
        answer = await agent.call("hello")
        if answer.get("protocol") != 1:
            raise PeerError(f"the agent speaks protocol {answer.get('protocol')!r}, not 1: use one of this version")
        return agent

    async def _piped_agent(self, server: str | None) -> Agent:
        from lab.clients.remote import Agent

        pipes = await self.lab.agent(server=server)
        return Agent(pipes.reader, pipes.writer, close=pipes.close)


def _expected(to: Person | Room, devices: Iterable[Device]) -> tuple[str, ...]:
    """Full JIDs of connected devices; the bare JID of who has none, to be reached later."""
    return tuple(device.jid for device in devices if device.connected) or (to.jid,)
