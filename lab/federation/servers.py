"""Servers and links as a script holds them in its hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.declarations.manifest import Accounts, StartedBy
from lab.errors import NotApplicable
from lab.federation.outcomes import Delivers, Promise, Refuses
from lab.federation.people import Person
from lab.federation.rooms import Room
from lab.servers import software

if TYPE_CHECKING:
    from lab.federation.network import Federation
    from lab.federation.peers import Peer


class ServerHandle:
    """One server of the running federation."""

    def __init__(self, federation: Federation, name: str) -> None:
        self._federation = federation
        self._plan = federation.lab.plan.server(name)
        self.spec = self._plan.spec
        self.name = name
        self.domain = self.spec.domain
        self.address = self._plan.address
        self.c2s_port = self.spec.manifest.ports.client

    @property
    def neighbours(self) -> tuple[ServerHandle, ...]:
        """The servers linked with this one, in the topology's order."""
        topology = self._federation.lab.plan.topology
        return tuple(self._federation.server(name) for name in topology.neighbours(self.name))

    async def person(
        self,
        name: str | None = None,
        *,
        encryption: str = "plain",
        trust: str = "blind",
        devices: int = 1,
    ) -> Person:
        """Somebody new with an account here, each device connected.

        Where `name` is taken by an earlier run in the same lab, a number is added. Returns once every device can
        be written to: with `encryption="omemo"`, once its bundle can be fetched.

        Raises NotApplicable on a server where the lab makes no accounts.
        """
        if self.spec.manifest.accounts is Accounts.NONE:
            raise NotApplicable(f"the lab makes no accounts on {self.name}, which is {self.spec.software}")
        return await self._federation.make_person(self, name, encryption=encryption, trust=trust, devices=devices)

    async def room(self, name: str, *, occupants: Sequence[Person]) -> Room:
        """A room hosted here (XEP-0045). Returns once every occupant has seen every other one join."""
        room = Room(self._federation, self, name)
        await room.join(*occupants)
        return room

    def peer(self) -> Peer:
        """This server, if it is scripted, to be entered with `async with`: it then listens. Raises NotApplicable."""
        from lab.federation.peers import Peer

        if self.spec.manifest.started_by is not StartedBy.SCRIPT:
            raise NotApplicable(f"{self.name} is {self.spec.software}: give it `software: scripted` to hold it by hand")
        return Peer(self._federation, self)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<server {self.name} ({self.domain}, {self.spec.software} {self.spec.version})>"


@dataclass(frozen=True)
class LinkHandle:
    """The way from one server to another, whether there is a link or not."""

    source: ServerHandle
    target: ServerHandle
    linked: bool
    promise: Promise  # what becomes of a message that way

    @classmethod
    def between(cls, federation: Federation, source: ServerHandle, target: ServerHandle) -> LinkHandle:
        """The way from `source` to `target`."""
        topology = federation.lab.plan.topology
        if source.name == target.name or topology.link(source.name, target.name):
            return cls(source, target, True, Delivers())
        refusal = software(source.spec.software).refusal(source.spec.version, topology.unlinked)
        return cls(source, target, False, Refuses(refusal.conditions, refusal.within))

    def __str__(self) -> str:
        return f"{self.source} {'->' if self.linked else '-/-'} {self.target}"
