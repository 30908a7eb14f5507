"""`stop` of servers (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.server_stop import DECLARATION
from lab.faults.fault import InjectedFault, ServerLike, of_servers


def stop(*servers: ServerLike) -> InjectedFault:
    """Stop servers in order (SIGTERM); they are started again when it is healed, and accept streams then.

    Raises UserError for what is no server.
    """
    return of_servers(DECLARATION, servers)
