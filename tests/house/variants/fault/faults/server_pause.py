"""`pause`: a server does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.declarations.faults.server_pause import DECLARATION

from lab.declarations.fault import FaultDeclaration
from lab.faults.fault import DeclaredFault
from lab.federation import Federation, ServerHandle


@dataclass(frozen=True, kw_only=True)
class ServerPause(DeclaredFault):
    """A server that is paused."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION

    server: str
    at_least: float

    @property
    def servers(self) -> tuple[str, ...]:
        """The server."""
        return (self.server,)

    async def apply(self, federation: Federation) -> str:
        """Pause it."""
        return f"{self.server} is paused"

    async def heal(self, federation: Federation) -> None:
        """Let it go on."""


def pause(server: ServerHandle | str, *, at_least: str = "1s") -> ServerPause:
    """Pause a server."""
    return ServerPause(**DECLARATION.read({"server": server, "at_least": at_least}))
