"""`swap_bundle`: a server hands out keys of its own as somebody's (docs/faults.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from xml.etree import ElementTree as ET

from lab.clients.encryption.impersonation import VERSIONS, ImpersonatedDevice
from lab.declarations.encryptions import ENCRYPTIONS
from lab.declarations.fault import FaultDeclaration
from lab.declarations.faults.bundle_swap import DECLARATION
from lab.errors import PeerError
from lab.faults.client_interception import InterceptedDevice
from lab.faults.fault import InjectedFault, ServerLike
from lab.faults.server_attack import ServerAttack, ServerAttackFault, parse_stanza
from lab.faults.session_swap import SessionSwap
from lab.faults.stanza_interception import intercept
from lab.federation import Federation, Person
from lab.federation.context import Json
from lab.metrics.jids import strip_resource
from lab.network.control import Control

_ENCRYPTED = re.compile(r"<(?P<name>(?:[\w.-]+:)?encrypted)\b.*?</(?P=name)\s*>", re.DOTALL)


class BundleSwap(ServerAttack):
    """What a script sees of the attack: what it could read."""

    name = DECLARATION.name

    def __init__(self, federation: Federation, server: str, person: Person) -> None:
        super().__init__(federation, server, person)
        self._namespace = ENCRYPTIONS[person.encryption].namespace
        self._as_person: dict[int, ImpersonatedDevice] = {}  # towards others, by the id of the device
        self._as_others: dict[tuple[str, int], ImpersonatedDevice] = {}  # towards the person: bare JID, device
        self._further: list[InjectedFault | InterceptedDevice] = []  # keys of others that the person is given

    async def prepare(self) -> list[Mapping[str, Any]]:
        """The rules that hand out other keys, and keep back what is encrypted."""
        for device in self._person.devices:
            assert device.omemo_device is not None  # read by the declaration
            number = device.omemo_device
            self._as_person[number] = await ImpersonatedDevice.create(self._person.jid, number, [self._namespace])
        jid = self._person.jid
        swapped = [self._swap(jid, number, one) for number, one in self._as_person.items()]
        kept = {"action": "drop", "stanza": "message", "element": "encrypted", "namespace": self._namespace}
        return [*swapped, {**kept, "receiver": jid}, {**kept, "sender": jid}, self.answers]

    async def stop(self) -> None:
        """Deal with nothing more. Raises what dealing with it has raised."""
        while self._further:
            await self._further.pop().heal(self._federation)
        await super().stop()

    async def deal(self, control: Control, one: Json) -> None:
        """Learn keys, and pass messages on, read and encrypted anew if that can be done."""
        stanza = parse_stanza(one)
        if one["name"] == "iq":
            waiting = self.learn(one, stanza)
            if waiting is not None:
                await self._pass_on(control, waiting, parse_stanza(waiting))
            return
        sender, header = strip_resource(one["sender"]), stanza.find(f".//{{{self._namespace}}}header")
        device = 0 if header is None else int(header.get("sid", "0"))
        if sender == self._person.jid or device in self._bundles[self._namespace, sender]:
            await self._pass_on(control, one, stanza)
        else:
            await self.ask_bundle(control, one, self._namespace, device)

    async def _pass_on(self, control: Control, one: Json, stanza: ET.Element) -> None:
        """Send a message on, read and encrypted anew if that can be done."""
        sender, receiver = strip_resource(one["sender"]), strip_resource(one["receiver"])
        passed = await self._translate(stanza, one, sender, receiver)
        if passed is not None:
            await self.send(control, one["source"], one["target"], passed)
        await self.settle_message(one["id"])

    async def _translate(self, stanza: ET.Element, one: Json, sender: str, receiver: str) -> str | None:
        """The stanza with its text read and encrypted anew; as it was if that cannot be; None if it has no text."""
        raw, namespace = str(one["stanza"]), self._namespace
        encrypted = stanza.find(f"{{{namespace}}}encrypted")
        header = None if encrypted is None else encrypted.find(f"{{{namespace}}}header")
        if encrypted is None or header is None:
            return raw
        device = int(header.get("sid", "0"))
        readers = sorted(int(key.get("rid", "0")) for key in header.iter(f"{{{namespace}}}key"))
        try:
            if receiver == self._person.jid:
                reader = next(self._as_person[number] for number in readers if number in self._as_person)
                writer = await self._other(sender, device, one["source"])
            else:
                others = (self._as_others.get((receiver, number)) for number in readers)
                reader = next(other for other in others if other is not None)
                writer = self._as_person[device]
            await reader.meet(sender, namespace, self._bundles[namespace, sender])
            plaintext = await reader.decrypt(encrypted, sender)
            if plaintext is None:
                return None
            await writer.meet(receiver, namespace, self._bundles[namespace, receiver])
            again = await writer.encrypt(plaintext, receiver, namespace)
            self.read(str(stanza.get("id")), reader.versions[namespace].find_text(plaintext))
        except (PeerError, StopIteration, KeyError) as error:
            self.note(stanza.get("id"), error)
            return raw
        return _ENCRYPTED.sub(lambda _: ET.tostring(again, encoding="unicode"), raw, count=1)

    async def _other(self, jid: str, device: int, server: str) -> ImpersonatedDevice:
        """Towards the person it passes as the other's device, whose keys the person fetches, too."""
        if (jid, device) not in self._as_others:
            made = self._as_others[jid, device] = await ImpersonatedDevice.create(jid, device, [self._namespace])
            rule = self._swap(jid, device, made) | {"receiver": self._person.jid}
            self._further.append(intercept((self._server, server), [rule], attack=DECLARATION.name))
            await self._further[-1].apply(self._federation)
        return self._as_others[jid, device]

    def _swap(self, jid: str, device: int, other: ImpersonatedDevice) -> dict[str, Any]:
        """The rule that puts other keys in the place of a device's."""
        node, item = VERSIONS[self._namespace].locate_bundle(device)
        return {
            "action": "replace", "stanza": "iq", "type": "result", "sender": jid, "contains": item or node,
            "element": "bundle", "namespace": self._namespace,
            "xml": ET.tostring(other.bundles[self._namespace], encoding="unicode"),
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SwappedBundle(ServerAttackFault[ServerAttack]):
    """The attack as a value."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION

    def create_attack(self, federation: Federation) -> ServerAttack:
        """The attack, which has not begun."""
        kind = SessionSwap if self.of.encryption == "otr" else BundleSwap
        return kind(federation, self.at, self.of)


def swap_bundle(*, at: ServerLike, of: Person) -> SwappedBundle:
    """Let a server hand out keys of its own as those of a person (XEP-0384), to everybody on servers linked to it.

    Of OTR, which publishes no keys, it takes part in key exchanges with keys of its own, towards both sides. It reads
    what is encrypted to it, encrypts it anew, and passes it on, both ways. The value in the `async with` block tells
    what it could read: `await cheat.decrypts(message)`. Raises UserError for each wrong field.
    """
    return SwappedBundle(**DECLARATION.read({"at": at, "of": of}))
