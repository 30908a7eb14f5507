"""ejabberd accounts as the lab's module mod_lab_accounts takes them: SCRAM-SHA-1 by default, one set of keys."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence

from lab.servers.software import ScramKeys

INITIAL = "accounts.json"


def render_accounts(users: Sequence[str], keys: ScramKeys) -> str:
    """The JSON text of these accounts."""
    stored, server = keys.stored
    return json.dumps(
        {
            "hash": "sha" if keys.hash == "sha1" else keys.hash,
            "iterations": keys.iterations,
            "salt": b64encode(keys.salt).decode(),
            "stored_key": b64encode(stored).decode(),
            "server_key": b64encode(server).decode(),
            "users": list(users),
        }
    )
