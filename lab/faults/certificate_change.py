"""`certificate`: servers show another certificate (docs/faults.md)."""

from __future__ import annotations

from lab.declarations.faults.certificate_change import DECLARATION
from lab.faults.fault import InjectedFault, ServerLike, of_servers


def certificate(*servers: ServerLike, how: str) -> InjectedFault:
    """Give servers another key and certificate while they run: renewed, replaced, self-signed, expired, …

    It acts on new streams once it has been applied; when it is healed, servers have a certificate as the topology says.
    Raises UserError for each wrong field.
    """
    return of_servers(DECLARATION, servers, {"how": how})
