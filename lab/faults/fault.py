"""What faults share: a value with a name, servers and fields, as declared; and faults that files can declare."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lab.declarations.fault import FaultDeclaration, FaultTarget, Plain, link_ends, read_server_name
from lab.errors import UserError
from lab.federation import Federation, LinkHandle, ServerHandle
from lab.lifecycle.faults import FaultSession
from lab.network.fault_engine import fault_fields
from lab.topology.fault_targets import Target, directions, find_targets
from lab.topology.faults import read_one
from lab.topology.spec import FaultSpec

#: What a script gives for a server, and for a link.
ServerLike = ServerHandle | str
LinkLike = LinkHandle | tuple[ServerLike, ServerLike]


@dataclass(frozen=True, kw_only=True)
class DeclaredFault(ABC):
    """A fault with a declaration: a subclass has the values of its fields."""

    declaration: ClassVar[FaultDeclaration]

    @property
    def name(self) -> str:
        """What scripts and histories call it."""
        return self.declaration.name

    @property
    @abstractmethod
    def servers(self) -> Sequence[str]:
        """Names of the servers that it acts on."""

    def values(self) -> Mapping[str, Any]:
        """The value of each field, as the declaration reads it."""
        return {one.name: getattr(self, one.name) for one in self.declaration.fields}

    @property
    def fields(self) -> Mapping[str, Plain]:
        """Its fields as plain data, for the history."""
        values = self.values()
        return {one.name: one.plain(values[one.name]) for one in self.declaration.fields if one.name in values}


@dataclass(frozen=True)
class InjectedFault:
    """A fault that could be declared in a file as well, and that a script injects: it acts until it is healed."""

    spec: FaultSpec
    #: Distinguishes what this value does to a lab from what other faults do to it.
    token: str = field(default_factory=lambda: secrets.token_hex(8), compare=False, repr=False)

    @property
    def name(self) -> str:
        """What histories call it."""
        return self.spec.action

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that it names."""
        named = [name for group in self.spec.fields.get("groups", ()) for name in group]
        return (*named, *(name for key in ("link", "server") for name in self.spec.selector.get(key, ())))

    @property
    def fields(self) -> Mapping[str, Plain]:
        """Its fields as plain data, for the history."""
        return fault_fields(self.spec, self._links())

    def find_directions(self, federation: Federation) -> list[Target]:
        """What it acts on: servers, or directions of links. Raises UserError, NotApplicable."""
        for name in self.servers:
            try:
                federation.server(name)
            except UserError as error:
                raise UserError(f"{self.name}: {error}") from None
        topology = federation.lab.plan.topology
        ends = self.spec.selector.get("link")
        if ends is not None and topology.link(*ends) is None:
            raise UserError(f"{self.name}: link: {ends[0]} and {ends[1]} are not linked")
        try:
            return directions(self.spec, find_targets(self.spec, topology))
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from None

    async def apply(self, federation: Federation) -> None:
        """Apply it. It acts once this returns; a restart is over. Raises UserError, NotApplicable, NotReady."""
        self.find_directions(federation)
        session = FaultSession(federation.lab)
        federation.context.faults[self.token] = session
        named = FaultSpec(f"{self.name}-{self.token}", self.spec.action, self.spec.fields, self.spec.selector)
        await session.add(named)

    async def heal(self, federation: Federation) -> None:
        """End it. It acts no longer once this returns: bytes that waited are on their way, servers accept streams."""
        session = federation.context.faults.pop(self.token, None)
        if session is not None:
            await session.close()

    def _links(self) -> list[Target]:
        return directions(self.spec, [self.spec.selector["link"]]) if "link" in self.spec.selector else []


def of_links(declared: FaultDeclaration, link: LinkLike, fields: Mapping[str, Any]) -> InjectedFault:
    """A fault of one link. Raises UserError that names each field that is wrong."""
    return _injected(declared, fields, "link", lambda: link_ends(link))


def of_servers(
    declared: FaultDeclaration, servers: Sequence[ServerLike], fields: Mapping[str, Any] | None = None
) -> InjectedFault:
    """A fault of servers. Raises UserError that names each field that is wrong."""

    def names() -> tuple[str, ...]:
        if not servers:
            raise UserError("names no server")
        return tuple(map(read_server_name, servers))

    return _injected(declared, fields or {}, "server", names)


def of_groups(declared: FaultDeclaration, fields: Mapping[str, Any]) -> InjectedFault:
    """A fault between groups of servers. Raises UserError that names each field that is wrong."""
    values = declared.read(fields)
    written = {**fields, "groups": [list(group) for group in values["groups"]]}
    return InjectedFault(read_one({"action": declared.name, **written}))


def _injected(declared: FaultDeclaration, fields: Mapping[str, Any], key: str, read: Any) -> InjectedFault:
    assert declared.target in (FaultTarget.LINKS, FaultTarget.SERVERS)
    wrong, chosen = [], ()
    try:
        chosen = read()
    except UserError as error:
        wrong.append(f"{declared.name}: {key}: {error}")
    wrong += [f"{declared.name}: {name}: {why}" if name else f"{declared.name}: {why}"
              for name, why in declared.values(fields)[1]]  # fmt: skip
    if wrong:
        raise UserError("\n".join(wrong))
    return InjectedFault(read_one({"action": declared.name, **fields, "selector": {key: list(chosen)}}))
