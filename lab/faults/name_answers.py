"""`dns`: the lab's name server answers otherwise (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.name_answers import DECLARATION
from lab.faults.fault import InjectedFault, LinkLike, of_links


def dns(link: LinkLike, *, direction: str = "both", how: str = "nxdomain", delay: str = "3s") -> InjectedFault:
    """Let the lab's name server answer otherwise where one server of a link looks for the other.

    `how` is nxdomain, servfail, no-answer, slow (the answer takes `delay`), wrong-srv or failover; with
    `direction="to"` only the first server's questions for the second are concerned. Streams that are up stay. Raises
    UserError for each wrong field.
    """
    return of_links(DECLARATION, link, {"direction": direction, "how": how, "delay": delay})
