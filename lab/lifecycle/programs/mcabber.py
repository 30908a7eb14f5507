"""mcabber, in a terminal."""

from __future__ import annotations

from pathlib import Path

from lab.lifecycle.programs.program import ClientProgram, write_file
from lab.plan.client_view import Account

_SETTINGS = """set jid = {jid}
set password = {password}
set resource = mcabber
set tls = 1
set otr = 1
module load fifo
set fifo_name = ~/.mcabber/fifo
otrpolicy default manual
"""


class Mcabber(ClientProgram):
    """mcabber: OTR."""

    name = "mcabber"
    packages = ("mcabber", "ncurses-base", "ncurses-term")
    command = ("mcabber",)

    def write(self, account: Account, home: Path) -> None:  # noqa: D102 - the base class says it
        write_file(home, ".mcabber/mcabberrc", _SETTINGS.format(jid=account.jid, password=account.password))
        (home / ".mcabber" / "otr").mkdir(mode=0o700)
