"""go-sendxmpp, which sends what it reads."""

from __future__ import annotations

from pathlib import Path

from lab.lifecycle.programs.program import HOME, ClientProgram, write_file
from lab.plan.client_view import Account

_FILE = ".config/go-sendxmpp/config"


class GoSendxmpp(ClientProgram):
    """go-sendxmpp: no encryption but OpenPGP (Ox)."""

    name = "go-sendxmpp"
    packages = ("go-sendxmpp",)
    command = ("go-sendxmpp", "--file", f"{HOME}/{_FILE}")

    def write(self, account: Account, home: Path) -> None:  # noqa: D102 - the base class says it
        text = f"username: {account.jid}\npassword: {account.password}\n"
        write_file(home, _FILE, text)
