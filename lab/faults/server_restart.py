"""`restart` of servers (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.server_restart import DECLARATION
from lab.faults.fault import InjectedFault, ServerLike, of_servers


def restart(*servers: ServerLike) -> InjectedFault:
    """Stop servers in order and start them again; when it has been applied they accept streams.

    Raises UserError for what is no server.
    """
    return of_servers(DECLARATION, servers)
