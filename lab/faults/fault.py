"""What faults share: a value with a name, servers and fields, as the declaration says; and faults of links."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from lab.declarations.fault import FaultDeclaration, Plain
from lab.errors import UserError
from lab.federation import Federation

#: A direction of a link: the names of the server that sends and of the one that receives.
Direction = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class DeclaredFault(ABC):
    """A fault with a declaration: a subclass has the values of its fields."""

    declaration: ClassVar[FaultDeclaration]

    #: Distinguishes what this value does to a lab from what other faults do to it.
    token: str = field(default_factory=lambda: secrets.token_hex(8), compare=False, repr=False)

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

    def check_servers(self, federation: Federation, field: str) -> None:
        """Raises UserError, in the name of that field, if one of its servers is not in the topology."""
        for name in self.servers:
            try:
                federation.server(name)
            except UserError as error:
                raise UserError(f"{self.name}: {field}: {error}") from None


class LinkFault(DeclaredFault):
    """A fault of links, which their relays carry out until it is healed."""

    @abstractmethod
    def directions(self, federation: Federation) -> list[Direction]:
        """The directions that it acts on. Raises UserError, NotApplicable."""

    @abstractmethod
    def impairment(self) -> Mapping[str, Any]:
        """What `impair_link` is asked for (docs/network.md)."""

    async def apply(self, federation: Federation) -> None:
        """Impair each direction. It acts once this returns. Raises UserError, NotApplicable."""
        directions = self.directions(federation)
        async with federation.lab.control() as control:
            for source, target in directions:
                asked = {"source": source, "target": target, "token": self.token, **self.impairment()}
                await control.call("impair_link", **asked)

    async def heal(self, federation: Federation) -> None:
        """End it. It acts no longer once this returns; bytes that waited are on their way."""
        async with federation.lab.control() as control:
            await control.call("restore_links", token=self.token)

    def check_relays(self, federation: Federation, field: str, pairs: Iterable[tuple[str, str]]) -> None:
        """Raises UserError, in the name of that field, if a link between two of these servers has no relays."""
        links = (federation.lab.plan.topology.link(*pair) for pair in pairs)
        direct = dict.fromkeys(f"{link.a} - {link.b}" for link in links if link is not None and link.direct)
        if direct:
            raise UserError(
                f"{self.name}: {field}: {', '.join(direct)}: nothing of the lab's is on a direct link: "
                "leave `direct` out of the topology"
            )
