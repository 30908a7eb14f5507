"""`drop_stanzas`: stanzas vanish on a link, or between a device and its server (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.stanza_drop import DECLARATION
from lab.faults.client_interception import InterceptedDevice, of_stanzas
from lab.faults.fault import InjectedFault, LinkLike
from lab.federation import Device


def drop_stanzas(
    link: LinkLike | Device, *, direction: str = "both", stanza: str = "message", element: str = "body", nth: int = 1
) -> InjectedFault | InterceptedDevice:
    """Let stanzas vanish on a link, or between a device and its server: every third message with a body is `nth=3`.

    On a link both servers believe they arrived. `stanza` is "message", "presence", "iq" or "" (any), `element` the
    local name of what they must have inside, "" for any. Raises UserError for each wrong field.
    """
    fields = {"direction": direction, "stanza": stanza, "element": element, "nth": nth}
    return of_stanzas(DECLARATION, link, fields)
