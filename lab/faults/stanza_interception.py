"""`intercept`: rules act on the stanzas of a link, or of a device (docs/faults.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.declarations.faults.stanza_interception import DECLARATION
from lab.faults.client_interception import InterceptedDevice, of_stanzas
from lab.faults.fault import InjectedFault, LinkLike
from lab.federation import Device


def intercept(
    link: LinkLike | Device, rules: Sequence[Mapping[str, Any]], *, direction: str = "both", attack: str = ""
) -> InjectedFault | InterceptedDevice:
    """Let rules act on the stanzas of a link, or of a device: `{"action": "drop", "stanza": "message", "nth": 3}`.

    They are tried in their order on each stanza. `attack` is what the history calls it. Streams that are open are ended
    first. Raises UserError for each wrong field.
    """
    return of_stanzas(DECLARATION, link, {"direction": direction, "rules": list(map(dict, rules)), "attack": attack})
