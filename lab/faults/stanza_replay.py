"""`replay`: stanzas arrive more than once over a link, or between a device and its server (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.stanza_replay import DECLARATION
from lab.faults.client_interception import InterceptedDevice, of_stanzas
from lab.faults.fault import InjectedFault, LinkLike
from lab.federation import Device


def replay(
    link: LinkLike | Device,
    *,
    direction: str = "both",
    stanza: str = "message",
    element: str = "body",
    nth: int = 1,
    times: int = 1,
) -> InjectedFault | InterceptedDevice:
    """Let stanzas arrive more than once, with `times` more copies at once; which ones, as with `drop_stanzas`.

    Raises UserError for each wrong field.
    """
    fields = {"direction": direction, "stanza": stanza, "element": element, "nth": nth, "times": times}
    return of_stanzas(DECLARATION, link, fields)
