"""`reset_streams`: the connections of a link are ended once (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.stream_reset import DECLARATION
from lab.faults.fault import InjectedFault, LinkLike, of_links


def reset_streams(link: LinkLike, *, direction: str = "both", how: str = "reset") -> InjectedFault:
    """End the connections of a link once, with a reset or (`how="close"`) in order; new ones are carried at once.

    `direction` is that of the connections: "to" are those that the first server has opened to the second. Raises
    UserError for each wrong field.
    """
    return of_links(DECLARATION, link, {"direction": direction, "how": how})
