"""Faults that act on the stanzas of a link or of a device's connection (docs/faults.md)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from lab.declarations.fault import FaultDeclaration, Plain
from lab.errors import UserError
from lab.faults.fault import InjectedFault, LinkLike, of_links
from lab.federation import Device, Federation, Person


@dataclass(frozen=True, kw_only=True)
class InterceptedDevice:
    """A device between which and its own server rules act: whoever has that server's key is there, as itself has."""

    declaration: FaultDeclaration
    device: Device
    given: Mapping[str, Any]  # the fields, as they were given
    _held: AsyncExitStack = field(default_factory=AsyncExitStack, compare=False, repr=False)

    @property
    def name(self) -> str:
        """What histories call it."""
        return self.declaration.name

    @property
    def servers(self) -> tuple[str, ...]:
        """The device's server."""
        return (self.device.server.name,)

    @property
    def fields(self) -> Mapping[str, Plain]:
        """Its fields as plain data, for the history."""
        return {"client": self.device.jid, **self.declaration.plain(self.declaration.read(self.given))}

    async def apply(self, federation: Federation) -> None:
        """Begin. A device that is connected elsewhere than to the relay logs out and in again; so do later connections.

        Raises UserError where the relay has no certificate of the server, and what logging in raises.
        """
        lab, server = federation.lab, self.device.server.name
        if self.device.relay is not None:
            raise UserError(f"{self.name}: {self.device.jid} is attacked already: give one `intercept` all the rules")
        lab.runtime.share_certificates(lab.layout, lab.plan, [server])
        control = await self._held.enter_async_context(lab.open_control())
        opened = await control.call(
            "intercept_client", client=self.device.jid, server=server, action=self.name, fields=dict(self.given)
        )
        self._held.push_async_callback(control.call, "release_clients")
        self.device.relay = opened["address"], opened["port"]
        self._held.callback(setattr, self.device, "relay", None)
        if self.device.connected and self.device.connected_to != self.device.relay:
            await self.device.disconnect()
            await self.device.connect()

    async def heal(self, federation: Federation) -> None:
        """End it: no rule acts once this returns. The stream stays, and can be resumed."""
        await self._held.aclose()


def of_stanzas(
    declared: FaultDeclaration, where: LinkLike | Device, fields: Mapping[str, Any]
) -> InjectedFault | InterceptedDevice:
    """A fault of the stanzas of a link or a device. Raises UserError that names each field that is wrong."""
    if isinstance(where, Person):
        raise UserError(f"{declared.name}: link: {where} is a person: give one of their devices, such as person.device")
    if not isinstance(where, Device):
        return of_links(declared, where, fields)
    declared.read(fields)
    return InterceptedDevice(declaration=declared, device=where, given=fields)
