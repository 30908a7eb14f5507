"""`partition`: servers are cut from each other, by the relays of the links between them (docs/faults.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any, ClassVar

from lab.declarations.fault import FaultDeclaration
from lab.declarations.faults.network_partition import DECLARATION
from lab.errors import NotApplicable
from lab.faults.fault import Direction, LinkFault
from lab.federation import Federation, ServerHandle


@dataclass(frozen=True, kw_only=True)
class NetworkPartition(LinkFault):
    """Groups of servers that are cut from each other, by name."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION

    groups: tuple[tuple[str, ...], ...]
    how: str

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that are named."""
        return tuple(name for group in self.groups for name in group)

    def directions(self, federation: Federation) -> list[Direction]:
        """Both directions of each link between two groups."""
        self.check_servers(federation, "groups")
        rest = tuple(server.name for server in federation.servers if server.name not in self.servers)
        groups = (*self.groups, rest) if rest else self.groups
        pairs = [pair for one, other in combinations(groups, 2) for pair in product(one, other)]
        linked = [pair for pair in pairs if federation.lab.plan.topology.link(*pair)]
        if not linked:
            raise NotApplicable(f"{self.name}: no two servers of different groups are linked")
        self.check_relays(federation, "groups", linked)
        return [direction for a, b in linked for direction in ((a, b), (b, a))]

    def impairment(self) -> Mapping[str, Any]:
        """The cut."""
        return {"cut": self.how}


def partition(*groups: Iterable[ServerHandle | str], how: str = "blackhole") -> NetworkPartition:
    """Cut groups of servers from each other. Servers in no group are one more group.

    `how` says what connections between groups meet:

    blackhole   open ones stay, but no byte passes; new ones are not answered
    silent      open ones stay, but no byte passes; new ones are accepted
    reset       open ones are reset; new ones are accepted and reset
    refuse      open ones are reset; new ones are refused

    Bytes that waited travel on once it is healed. Raises UserError that names each field that is wrong.
    """
    return NetworkPartition(**DECLARATION.read({"groups": groups, "how": how}))
