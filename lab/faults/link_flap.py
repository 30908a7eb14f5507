"""`flap`: a link is cut and comes back, again and again (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.link_flap import DECLARATION
from lab.faults.fault import InjectedFault, LinkLike, of_links


def flap(link: LinkLike, *, down: str, up: str, how: str = "blackhole") -> InjectedFault:
    """Cut a link for `down`, let it be up for `up`, and so on until it is healed; it is cut first.

    Both are durations, with their unit: "1s"; `how` is as for `partition`. Raises UserError for each wrong field.
    """
    return of_links(DECLARATION, link, {"down": down, "up": up, "how": how})
