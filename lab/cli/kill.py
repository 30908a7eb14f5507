"""`xmpplab kill`: kill a server (SIGKILL)."""

from __future__ import annotations

from lab.cli.options import LabOption, ServerArgument
from lab.cli.server_changes import change


def kill(server: ServerArgument, name: LabOption = None) -> None:
    """Kill a server (SIGKILL).

    Returns once its process has ended; `xmpplab start` starts it again.
    """
    change(server, "kill", name)
