"""Profanity, in a terminal."""

from __future__ import annotations

from pathlib import Path

from lab.lifecycle.programs.program import ClientProgram, write_file
from lab.plan.client_view import Account

# Every key is trusted (OMEMO): with "firstusage" Profanity 0.15 trusts none of somebody whose keys came before its own.
_SETTINGS = """[connection]
account={jid}
[ui]
splash=false
tips=false
[omemo]
policy=automatic
trustmode=blind
[otr]
policy=manual
"""
_ACCOUNT = """[{jid}]
enabled=true
jid={jid}
password={password}
resource=profanity
tls.policy=force
"""


class Profanity(ClientProgram):
    """Profanity: OMEMO and OTR."""

    name = "profanity"
    packages = ("profanity", "ncurses-base", "ncurses-term")
    command = ("profanity",)

    def write(self, account: Account, home: Path) -> None:  # noqa: D102 - the base class says it
        write_file(home, ".config/profanity/profrc", _SETTINGS.format(jid=account.jid))
        text = _ACCOUNT.format(jid=account.jid, password=account.password)
        write_file(home, ".local/share/profanity/accounts", text)
