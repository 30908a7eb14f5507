"""`conditions`: a link gets other conditions, by its relays (docs/faults.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lab.declarations.fault import FaultDeclaration
from lab.declarations.faults.link_conditions import DECLARATION, UNCHANGED
from lab.declarations.links import LINK_FIELDS
from lab.errors import UserError
from lab.faults.fault import Direction, LinkFault
from lab.federation import Federation, LinkHandle, ServerHandle


@dataclass(frozen=True, kw_only=True)
class ChangedConditions(LinkFault):
    """A link, by the names of its servers, and the link fields that have other values."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION

    link: tuple[str, str]
    direction: str
    changes: tuple[tuple[str, Any], ...]

    @property
    def servers(self) -> tuple[str, ...]:
        """The two ends."""
        return self.link

    def values(self) -> Mapping[str, Any]:
        """The link, the direction, and what is changed."""
        return {"link": self.link, "direction": self.direction, **dict(self.changes)}

    def directions(self, federation: Federation) -> list[Direction]:
        """One direction or both."""
        self.check_servers(federation, "link")
        a, b = self.link
        if federation.lab.plan.topology.link(a, b) is None:
            raise UserError(f"{self.name}: link: {a} and {b} are not linked")
        self.check_relays(federation, "link", [(a, b)])
        return [(a, b)] if self.direction == "forward" else [(a, b), (b, a)]

    def impairment(self) -> Mapping[str, Any]:
        """The link fields."""
        return dict(self.changes)


def conditions(
    link: LinkHandle | tuple[ServerHandle | str, ServerHandle | str], *, direction: str = "both", **fields: Any
) -> ChangedConditions:
    """Give a link other conditions than the topology: `conditions(link, latency="200ms", rate="64kbit/s")`.

    The fields are those of a link in a topology, written as there; those that are not given stay as they are. With
    `direction="forward"` only the direction from the link's first server to its second changes.

    Raises UserError that names each field that is wrong.
    """
    values = DECLARATION.read({"link": link, "direction": direction, **fields})
    names = [field.name for field in LINK_FIELDS]
    changes = tuple((name, values[name]) for name in names if values[name] is not UNCHANGED)
    if not changes:
        raise UserError(f"{DECLARATION.name}: says nothing of the link: give one of {', '.join(names)}")
    for field in LINK_FIELDS:
        if {field.name, field.at_most} <= dict(changes).keys() and values[field.name] > values[field.at_most]:
            raise UserError(f"{DECLARATION.name}: {field.name}: is larger than {field.at_most}: {field.reason}")
    return ChangedConditions(link=values["link"], direction=values["direction"], changes=changes)
