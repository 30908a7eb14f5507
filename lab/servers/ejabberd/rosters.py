"""ejabberd rosters as the lab's module mod_lab_accounts takes them: everybody subscribed both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence


def render_rosters(rosters: Mapping[str, Sequence[str]]) -> str:
    """The JSON text of these rosters: contacts by user."""
    return json.dumps({user: list(contacts) for user, contacts in rosters.items()})
