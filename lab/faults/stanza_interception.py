"""`intercept`: rules act on the stanzas of a link (docs/faults.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.declarations.faults.stanza_interception import DECLARATION
from lab.faults.fault import InjectedFault, LinkLike, of_links


def intercept(
    link: LinkLike, rules: Sequence[Mapping[str, Any]], *, direction: str = "both", attack: str = ""
) -> InjectedFault:
    """Let rules act on the stanzas of a link: `{"action": "drop", "stanza": "message", "nth": 3}`.

    They are tried in their order on each stanza. `attack` is what the history calls it. Streams that are open are ended
    first. Raises UserError for each wrong field.
    """
    return of_links(DECLARATION, link, {"direction": direction, "rules": list(map(dict, rules)), "attack": attack})
