"""`reorder`: stanzas change places on a link, or between a device and its server (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.stanza_reorder import DECLARATION
from lab.faults.client_interception import InterceptedDevice, of_stanzas
from lab.faults.fault import InjectedFault, LinkLike
from lab.federation import Device


def reorder(
    link: LinkLike | Device, *, direction: str = "both", stanza: str = "message", element: str = "body"
) -> InjectedFault | InterceptedDevice:
    """Of each two stanzas from one person to another let the second arrive first; which ones, as with `drop_stanzas`.

    One without a second arrives after ten seconds at most. Raises UserError for each wrong field.
    """
    return of_stanzas(DECLARATION, link, {"direction": direction, "stanza": stanza, "element": element})
