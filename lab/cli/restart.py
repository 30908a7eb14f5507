"""`xmpplab restart`: stop a server in order and start it again."""

from __future__ import annotations

from lab.cli.options import LabOption, ServerArgument
from lab.cli.server_changes import change


def restart(server: ServerArgument, name: LabOption = None) -> None:
    """Stop a server in order and start it again.

    Returns once it accepts streams.
    """
    change(server, "restart", name)
