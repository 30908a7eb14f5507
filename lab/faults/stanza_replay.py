"""`replay`: stanzas arrive more than once over a link (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.stanza_replay import DECLARATION
from lab.faults.fault import InjectedFault, LinkLike, of_links


def replay(
    link: LinkLike,
    *,
    direction: str = "both",
    stanza: str = "message",
    element: str = "body",
    nth: int = 1,
    times: int = 1,
) -> InjectedFault:
    """Let stanzas arrive more than once, with `times` more copies at once; which ones, as with `drop_stanzas`.

    Raises UserError for each wrong field.
    """
    fields = {"direction": direction, "stanza": stanza, "element": element, "nth": nth, "times": times}
    return of_links(DECLARATION, link, fields)
