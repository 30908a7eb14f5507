"""`withhold_device_list`: a server hands out a device list without one of the devices (docs/faults.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from xml.etree import ElementTree as ET

from lab.clients.encryption.impersonation import VERSIONS
from lab.declarations.fault import FaultDeclaration
from lab.declarations.faults.device_omission import DECLARATION
from lab.errors import UserError
from lab.faults.fault import ServerLike
from lab.faults.server_attack import LISTS, ServerAttackFault, ServerDeception
from lab.federation import Device, Federation, Person


class DeviceOmission(ServerDeception):
    """The lists without the device, as they were when it began: devices that are added later are missing as well."""

    name = DECLARATION.name

    def __init__(self, federation: Federation, server: str, person: Person, device: Device) -> None:
        super().__init__(federation, server, person)
        self._device = device

    async def prepare(self) -> list[Mapping[str, Any]]:
        """The rules that put the old lists in the place of the real ones, asked for or pushed."""
        rules: list[Mapping[str, Any]] = []
        for namespace, version in VERSIONS.items():
            listed = await self.fetch_own(version.device_list)
            if listed is None:
                continue
            for one in listed.findall(f"{{{namespace}}}device[@id='{self._device.omemo_device}']"):
                listed.remove(one)
            rules.append({
                "action": "replace", "element": LISTS[namespace], "namespace": namespace, "sender": self._person.jid,
                "xml": ET.tostring(listed, encoding="unicode"),
            })  # fmt: skip
        return rules


@dataclass(frozen=True, kw_only=True)
class WithheldDevice(ServerAttackFault[DeviceOmission]):
    """The attack as a value."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION
    device: Device

    def create_attack(self, federation: Federation) -> DeviceOmission:
        """The attack, which has not begun. Raises UserError."""
        if self.device not in self.of.devices:
            raise UserError(f"{self.name}: device: {self.device} is none of {self.of}'s")
        return DeviceOmission(federation, self.at, self.of, self.device)


def withhold_device_list(*, at: ServerLike, of: Person, device: Device) -> WithheldDevice:
    """Let a server hand out a person's OMEMO device lists without one of the devices, to all servers linked to it.

    The list is that of the beginning: who writes encrypts for the others alone, and is told nothing. The person is
    shown the real list. Raises UserError for each wrong field.
    """
    return WithheldDevice(**DECLARATION.read({"at": at, "of": of, "device": device}))
