"""`stale_prekey`: a server hands out the same old bundles, with one one-time prekey each (docs/faults.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from xml.etree import ElementTree as ET

from lab.clients.encryption.impersonation import VERSIONS
from lab.declarations.fault import FaultDeclaration
from lab.declarations.faults.prekey_repetition import DECLARATION
from lab.faults.fault import ServerLike
from lab.faults.server_attack import ServerAttackFault, ServerDeception
from lab.federation import Federation, Person


class PrekeyRepetition(ServerDeception):
    """The bundles as they were when it began, each with the first of its one-time prekeys alone."""

    name = DECLARATION.name

    async def prepare(self) -> list[Mapping[str, Any]]:
        """The rules that put the old bundles in the place of the real ones."""
        rules: list[Mapping[str, Any]] = []
        for device in self._person.devices:
            assert device.omemo_device is not None  # read by the declaration
            for namespace, version in VERSIONS.items():
                node, item = version.locate_bundle(device.omemo_device)
                bundle = await self.fetch_own(node, item)
                prekeys = None if bundle is None else bundle.find(f"{{{namespace}}}prekeys")
                if bundle is None or prekeys is None:
                    continue
                prekeys[:] = prekeys[:1]
                rules.append({
                    "action": "replace", "stanza": "iq", "type": "result", "sender": self._person.jid,
                    "contains": item or node, "element": "bundle", "namespace": namespace,
                    "xml": ET.tostring(bundle, encoding="unicode"),
                })  # fmt: skip
        return rules


@dataclass(frozen=True, kw_only=True)
class RepeatedPrekey(ServerAttackFault[PrekeyRepetition]):
    """The attack as a value."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION

    def create_attack(self, federation: Federation) -> PrekeyRepetition:
        """The attack, which has not begun."""
        return PrekeyRepetition(federation, self.at, self.of)


def stale_prekey(*, at: ServerLike, of: Person) -> RepeatedPrekey:
    """Let a server hand out a person's bundles as they are now, with one and the same one-time prekey (XEP-0384).

    The first who begins a session is read, and uses it up; the person's device cannot read those who come later, on
    servers linked to that one. Raises UserError for each wrong field.
    """
    return RepeatedPrekey(**DECLARATION.read({"at": at, "of": of}))
