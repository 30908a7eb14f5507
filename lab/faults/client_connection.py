"""`client`: the connection of a device is lost or stalled, and comes back (docs/faults.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lab.declarations.fault import FaultDeclaration, Plain
from lab.declarations.faults.client_connection import DECLARATION, read_device
from lab.errors import UserError
from lab.faults.fault import DeclaredFault
from lab.federation import Device, Federation


@dataclass(frozen=True, kw_only=True)
class LostConnection(DeclaredFault):
    """A device whose connection is lost or stalled."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION

    device: Device
    how: str

    @property
    def servers(self) -> tuple[str, ...]:
        """The device's server."""
        return (self.device.person.server.name,)

    @property
    def fields(self) -> Mapping[str, Plain]:
        """Its fields as plain data, for the history."""
        return {"device": self.device.jid, **super().fields}

    async def apply(self, federation: Federation) -> None:
        """Lose or stall it. Raises UserError if the device is not connected."""
        await (self.device.stall_connection() if self.how == "stalled" else self.device.drop_connection())

    async def heal(self, federation: Federation) -> None:
        """Let bytes pass; resume the stream, or log in again where it is not kept, if the connection is lost."""
        if self.device.connected and self.how == "stalled":
            await self.device.release_connection()
        if not self.device.connected:
            await (self.device.resume() if self.device.resumable else self.device.connect())


def client(device: Device, how: str = "dropped") -> LostConnection:
    """Let a device lose its connection, as where a network ends: the stream is not closed (RFC 6120 section 4.4).

    With `how="stalled"` the connection stays, and passes no bytes in either direction. When it is healed, what waited
    passes; a device that lost its connection, and was made with `resumable`, resumes its stream (XEP-0198 section 5),
    any other one logs in again. Raises UserError that names each field that is wrong.
    """
    wrong = [f"client: {name}: {why}" for name, why in DECLARATION.values({"how": how})[1]]
    try:
        read_device(device)
    except UserError as error:
        wrong.insert(0, f"client: device: {error}")
    if wrong:
        raise UserError("\n".join(wrong))
    return LostConnection(device=device, how=how)
