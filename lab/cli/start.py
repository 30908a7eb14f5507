"""`xmpplab start`: start a server that was stopped or killed, or let one go on that is paused."""

from __future__ import annotations

from lab.cli.options import LabOption, ServerArgument
from lab.cli.server_changes import change


def start(server: ServerArgument, name: LabOption = None) -> None:
    """Start a stopped server, or let a paused one go on.

    Returns once it accepts streams.
    """
    change(server, "start", name)
