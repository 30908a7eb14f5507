"""`pause` of servers (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.server_pause import DECLARATION
from lab.faults.fault import InjectedFault, ServerLike, of_servers


def pause(*servers: ServerLike) -> InjectedFault:
    """Let servers do nothing; connections to them stay, and they go on when it is healed.

    Raises UserError for what is no server.
    """
    return of_servers(DECLARATION, servers)
