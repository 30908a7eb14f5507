"""`drop_stanzas`: stanzas vanish on a link (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.stanza_drop import DECLARATION
from lab.faults.fault import InjectedFault, LinkLike, of_links


def drop_stanzas(
    link: LinkLike, *, direction: str = "both", stanza: str = "message", element: str = "body", nth: int = 1
) -> InjectedFault:
    """Let stanzas vanish on a link: every third message with a body is `nth=3`. Both servers believe they arrived.

    `stanza` is "message", "presence", "iq" or "" (any), `element` the local name of what they must have inside, "" for
    any. Raises UserError for each wrong field.
    """
    fields = {"direction": direction, "stanza": stanza, "element": element, "nth": nth}
    return of_links(DECLARATION, link, fields)
