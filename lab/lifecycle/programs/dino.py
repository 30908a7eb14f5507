"""Dino, which has a window."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from lab.lifecycle.programs.program import DESKTOP, ClientProgram, write_file
from lab.plan.client_view import Account

_DATABASE = ".local/share/dino/dino.db"
# Without a table that says its version Dino makes the tables that are missing.
_TABLE = """
CREATE TABLE account (
  id INTEGER PRIMARY KEY AUTOINCREMENT, bare_jid TEXT NOT NULL UNIQUE, resourcepart TEXT, password TEXT, alias TEXT,
  enabled INTEGER, roster_version TEXT, mam_earliest_synced INTEGER
)
"""


class Dino(ClientProgram):
    """Dino: OMEMO, calls."""

    name = "dino"
    packages = ("dino-im", *DESKTOP)
    command = ("dino-im",)
    session_bus = True
    refuses_root = True

    def write(self, account: Account, home: Path) -> None:  # noqa: D102 - the base class says it
        write_file(home, _DATABASE, b"")
        with closing(sqlite3.connect(home / _DATABASE)) as database, database:
            database.execute(_TABLE)
            database.execute(
                "INSERT INTO account (bare_jid, resourcepart, password, alias, enabled) VALUES (?, 'dino', ?, '', 1)",
                (account.jid, account.password),
            )
