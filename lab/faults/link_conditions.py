"""`conditions`: a link gets other conditions, by its relays (docs/faults.md)."""

from __future__ import annotations

from typing import Any

from lab.declarations.faults.link_conditions import DECLARATION
from lab.faults.fault import InjectedFault, LinkLike, of_links


def conditions(link: LinkLike, *, direction: str = "both", **fields: Any) -> InjectedFault:
    """Give a link other conditions than the topology: `conditions(link, latency="200ms", rate="64kbit/s")`.

    The fields are those of a link in a topology, written as there; those that are not given stay as they are. With
    `direction="to"` only the direction from the link's first server to its second changes, with "from" the other one.

    Raises UserError that names each field that is wrong.
    """
    return of_links(DECLARATION, link, {"direction": direction, **fields})
