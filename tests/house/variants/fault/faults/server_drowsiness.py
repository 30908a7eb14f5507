"""`drowse`: a server does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.declarations.faults.server_drowsiness import DECLARATION

from lab.declarations.fault import FaultDeclaration
from lab.faults.fault import DeclaredFault
from lab.federation import Federation, ServerHandle


@dataclass(frozen=True, kw_only=True)
class ServerDrowsiness(DeclaredFault):
    """A server that is drowsy."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION

    server: str
    at_least: float

    @property
    def servers(self) -> tuple[str, ...]:
        """The server."""
        return (self.server,)

    async def apply(self, federation: Federation) -> str:
        """Pause it."""
        return f"{self.server} is drowsy"

    async def heal(self, federation: Federation) -> None:
        """Let it go on."""


def drowse(server: ServerHandle | str, *, at_least: str = "1s") -> ServerDrowsiness:
    """Pause a server."""
    return ServerDrowsiness(**DECLARATION.read({"server": server, "at_least": at_least}))
