"""`xmpplab stop`: stop a server in order (SIGTERM)."""

from __future__ import annotations

from lab.cli.options import LabOption, ServerArgument
from lab.cli.server_changes import change


def stop(server: ServerArgument, name: LabOption = None) -> None:
    """Stop a server in order (SIGTERM).

    Returns once its process has ended; `xmpplab start` starts it again.
    """
    change(server, "stop", name)
