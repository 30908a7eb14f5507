"""`phantom_device`: a server puts a device of its own into somebody's device list (docs/faults.md)."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from lab.clients.encryption.impersonation import VERSIONS, ImpersonatedDevice
from lab.declarations.fault import FaultDeclaration
from lab.declarations.faults.device_injection import DECLARATION
from lab.errors import PeerError
from lab.faults.fault import ServerLike
from lab.faults.server_attack import LISTS, PUBSUB, ServerAttack, ServerAttackFault, parse_stanza
from lab.federation import Federation, Person
from lab.federation.context import Json
from lab.metrics.jids import strip_resource
from lab.network.control import Control

_MOST = 2**31 - 1  # the largest id of a device (XEP-0384 section 5.3.1)


class DeviceInjection(ServerAttack):
    """What a script sees of the attack: the device, and what it could read."""

    name = DECLARATION.name

    def __init__(self, federation: Federation, server: str, person: Person) -> None:
        super().__init__(federation, server, person)
        #: The id of the device. Ids of real ones are not in its text by chance: it has ten digits.
        self.omemo_device = 10**9 + secrets.randbelow(_MOST - 10**9)
        self._device: ImpersonatedDevice

    async def prepare(self) -> list[Mapping[str, Any]]:
        """The rules that put it into device lists, and show who asks for its bundle, and what is encrypted for it."""
        jid, number = self._person.jid, str(self.omemo_device)
        self._device = await ImpersonatedDevice.create(jid, self.omemo_device, [*VERSIONS])
        rules: list[Mapping[str, Any]] = []
        for namespace, element in LISTS.items():
            listed = f"<device xmlns='{namespace}' id='{number}'/>"
            one = {"element": element, "namespace": namespace, "sender": jid}
            rules.append({"action": "append", "xml": listed, **one})
            encrypted = {"stanza": "message", "element": "encrypted", "namespace": namespace, "receiver": jid}
            rules.append({"action": "read", **encrypted})
        asked = {"stanza": "iq", "type": "get", "element": "items", "contains": number, "receiver": jid}
        return [*rules, {"action": "drop", **asked}, self.answers]

    async def deal(self, control: Control, one: Json) -> None:
        """Hand out its bundle, learn those of others, and read messages."""
        stanza = parse_stanza(one)
        if one["action"] == "drop" and stanza.get("type") == "get":
            await self._answer(control, one, stanza)
        elif one["action"] == "drop":
            waiting = self.learn(one, stanza)
            if waiting is not None:
                await self._decrypt(waiting, parse_stanza(waiting))
        elif one["action"] == "read":
            for namespace in VERSIONS:
                header = stanza.find(f"{{{namespace}}}encrypted/{{{namespace}}}header")
                keys = [] if header is None else [key.get("rid") for key in header.iter(f"{{{namespace}}}key")]
                if header is None or str(self.omemo_device) not in keys:
                    continue
                device = int(header.get("sid", "0"))
                if device in self._bundles[namespace, strip_resource(one["sender"])]:
                    await self._decrypt(one, stanza)
                else:
                    await self.ask_bundle(control, one, namespace, device)
                return
            await self.settle_message(one["id"])

    async def _answer(self, control: Control, one: Json, stanza: ET.Element) -> None:
        """Answer who asks for its bundle."""
        items = stanza.find(f".//{{{PUBSUB}}}items")
        node = "" if items is None else items.get("node", "")
        number = self.omemo_device
        for namespace, bundle in self._device.bundles.items():
            own, item = VERSIONS[namespace].locate_bundle(number)
            if own != node:
                continue
            published = ET.tostring(bundle, encoding="unicode")
            answer = (
                f"<iq type='result' id={quoteattr(one['id'])} from={quoteattr(one['receiver'])} "
                f"to={quoteattr(one['sender'])}><pubsub xmlns='{PUBSUB}'><items node={quoteattr(node)}>"
                f"<item id='{item or 'current'}'>{published}</item></items></pubsub></iq>"
            )
            await self.send(control, one["target"], one["source"], answer)

    async def _decrypt(self, one: Json, stanza: ET.Element) -> None:
        """Read a message that is encrypted to it, among others."""
        sender = strip_resource(one["sender"])
        for namespace in VERSIONS:
            encrypted, bundles = stanza.find(f"{{{namespace}}}encrypted"), self._bundles[namespace, sender]
            if encrypted is None or not bundles:
                continue
            try:
                await self._device.meet(sender, namespace, bundles)
                plaintext = await self._device.decrypt(encrypted, sender)
                if plaintext is not None:
                    self.read(one["id"], self._device.versions[namespace].find_text(plaintext))
            except PeerError as error:
                self.note(one["id"], error)
        await self.settle_message(one["id"])


@dataclass(frozen=True, kw_only=True)
class InjectedDevice(ServerAttackFault[DeviceInjection]):
    """The attack as a value."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION

    def create_attack(self, federation: Federation) -> DeviceInjection:
        """The attack, which has not begun."""
        return DeviceInjection(federation, self.at, self.of)


def phantom_device(*, at: ServerLike, of: Person) -> InjectedDevice:
    """Let a server put a device of its own into a person's device list (XEP-0384), for all servers linked to it.

    Who encrypts for all devices of the person encrypts for that one as well, and the server reads it. The value in the
    `async with` block tells its id, and what it could read: `await phantom.decrypts(message)`. Raises UserError for
    each wrong field.
    """
    return InjectedDevice(**DECLARATION.read({"at": at, "of": of}))
