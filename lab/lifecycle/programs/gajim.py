"""Gajim, which has a window."""

from __future__ import annotations

import json
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

from lab.lifecycle.programs.program import DESKTOP, ClientProgram, write_file
from lab.plan.client_view import Account

_FOLDER = ".config/gajim"
#: What Gajim asks of strangers' servers, or for, when it starts the first time.
_SETTINGS = {"use_keyring": False, "check_for_update": False, "plugins_update_check": False}
_TABLES = """
CREATE TABLE settings (name TEXT UNIQUE, settings TEXT);
CREATE TABLE account_settings (account TEXT UNIQUE, settings TEXT);
PRAGMA user_version = 7;
"""


class Gajim(ClientProgram):
    """Gajim: OMEMO."""

    name = "gajim"
    packages = ("gajim", *DESKTOP)
    command = ("gajim",)
    session_bus = True
    refuses_root = True

    def write(self, account: Account, home: Path) -> None:  # noqa: D102 - the base class says it
        write_file(home, f"{_FOLDER}/settings.sqlite", b"")
        own = {
            "name": account.user, "address": account.jid, "account_label": account.jid, "active": True,
            "savepass": True, "password": account.password, "resource": "gajim", "encryption_default": "OMEMO",
            "autoauth": True,
        }  # fmt: skip
        with closing(sqlite3.connect(home / _FOLDER / "settings.sqlite")) as database, database:
            database.executescript(_TABLES)
            empty = ("soundevents", "status_presets", "proxies", "plugins", "window_sizes")
            rows = [("app", _SETTINGS), ("workspaces", {str(uuid.uuid4()): {}}), *((name, {}) for name in empty)]
            database.executemany(
                "INSERT INTO settings VALUES (?, ?)", [(name, json.dumps(text)) for name, text in rows]
            )
            settings = json.dumps({"account": own, "contact": {}, "group_chat": {}})
            database.execute("INSERT INTO account_settings VALUES (?, ?)", (account.jid, settings))
