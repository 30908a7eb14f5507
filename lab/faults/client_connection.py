"""`client`: the connection of a device is lost, and comes back (docs/faults.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.declarations.fault import FaultDeclaration
from lab.declarations.faults.client_connection import DECLARATION
from lab.faults.fault import DeclaredFault
from lab.federation import Device, Federation


@dataclass(frozen=True, kw_only=True)
class LostConnection(DeclaredFault):
    """A device whose connection is lost."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION

    device: Device

    @property
    def servers(self) -> tuple[str, ...]:
        """The device's server."""
        return (self.device.person.server.name,)

    async def apply(self, federation: Federation) -> None:
        """Lose it. Raises UserError if the device is not connected."""
        await self.device.drop_connection()

    async def heal(self, federation: Federation) -> None:
        """Resume the stream, or log in again where it is not kept; does nothing if the device is connected."""
        if self.device.connected:
            return
        await (self.device.resume() if self.device.resumable else self.device.connect())


def client(device: Device) -> LostConnection:
    """Let a device lose its connection, as where a network ends: the stream is not closed (RFC 6120 section 4.4).

    When it is healed, a device made with `resumable` resumes its stream (XEP-0198 section 5), any other one logs in
    again. Raises UserError for what is no device.
    """
    return LostConnection(**DECLARATION.read({"device": device}))
