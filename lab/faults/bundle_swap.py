"""`swap_bundle`: a server hands out keys of its own as somebody's (docs/faults.md)."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from lab.clients.encryption.impersonation import ImpersonatedDevice
from lab.declarations.fault import FaultDeclaration
from lab.declarations.faults.bundle_swap import DECLARATION
from lab.errors import PeerError, UserError
from lab.faults.fault import DeclaredFault, InjectedFault, ServerLike
from lab.faults.stanza_interception import intercept
from lab.federation import Federation, Message, Person
from lab.federation.context import Json, read_duration
from lab.history.events import CanaryFound
from lab.metrics.jids import strip_resource
from lab.network.control import Control

OMEMO = "eu.siacs.conversations.axolotl"
PUBSUB = "http://jabber.org/protocol/pubsub"
BUNDLE = f"{OMEMO}.bundles:"
WAIT = 5.0  # seconds that one question for interventions waits for an answer
_ENCRYPTED = re.compile(r"<(?P<name>(?:[\w.-]+:)?encrypted)\b.*?</(?P=name)\s*>", re.DOTALL)


class BundleSwap:
    """What a script sees of the attack: what it could read."""

    def __init__(self, federation: Federation, server: str, person: Person) -> None:
        self._federation, self._server, self._person = federation, server, person
        self._as_person: dict[int, ImpersonatedDevice] = {}  # towards others, by the id of the device
        self._as_others: dict[tuple[str, int], ImpersonatedDevice] = {}  # towards the person: bare JID, device
        self._bundles: dict[str, dict[int, ET.Element]] = defaultdict(dict)  # the real ones, by bare JID
        self._waiting: dict[str, list[Json]] = {}  # what waits for a bundle, by the id of the question for it
        self._texts: dict[str, str | None] = {}  # by the id of each message that was dealt with; None: not readable
        self._further: list[InjectedFault] = []  # keys of others that the person is given
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    async def decrypts(self, message: Message, within: str | float = "30s") -> bool:
        """Whether the server has read this very text; returns once the receiver has the message, or after `within`."""
        deadline = read_duration(within)
        try:
            async with asyncio.timeout(deadline), self._changed:
                await self._changed.wait_for(lambda: message.id in self._texts)
        except TimeoutError:
            return False
        await message.outcome(deadline)
        return self._texts[message.id] == message.text

    async def prepare(self) -> list[Mapping[str, Any]]:
        """The rules that hand out other keys, and keep back what is encrypted."""
        for device in self._person.devices:
            assert device.omemo_device is not None  # read by the declaration
            number = device.omemo_device
            self._as_person[number] = await ImpersonatedDevice.create(self._person.jid, number)
        jid = self._person.jid
        swapped = [_swap(jid, number, one) for number, one in self._as_person.items()]
        kept = {"action": "drop", "stanza": "message", "element": "encrypted", "namespace": OMEMO}
        asked = {"action": "drop", "stanza": "iq", "receiver": self._asking}
        return [*swapped, {**kept, "receiver": jid}, {**kept, "sender": jid}, asked]

    @property
    def _asking(self) -> str:
        """The full JID under which the server asks others for keys."""
        return f"{self._person.jid}/{DECLARATION.name}"

    async def start(self) -> None:
        """Deal with what rules keep back, from now on."""
        async with self._federation.lab.open_control() as control:
            since = (await control.call("interventions"))["last"]
        self._task = asyncio.create_task(self._follow(since))

    async def stop(self) -> None:
        """Deal with nothing more. Raises what dealing with it has raised."""
        while self._further:
            await self._further.pop().heal(self._federation)
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    async def _follow(self, since: int) -> None:
        async with self._federation.lab.open_control() as control:
            while True:
                answer = await control.call("interventions", patience=WAIT + 10, since=since, wait=WAIT)
                for one in answer["interventions"]:
                    since = one["number"]
                    if one["attack"] == DECLARATION.name and one["action"] in ("replace", "drop"):
                        await self._deal(control, one)

    async def _deal(self, control: Control, one: Json) -> None:
        """Deal with one stanza that rules acted on."""
        stanza = _parse(one)
        if one["name"] == "iq":
            self._learn(stanza)
            for waiting in self._waiting.pop(one["id"], ()):
                await self._pass_on(control, waiting, _parse(waiting))
            return
        sender, encrypted = strip_resource(one["sender"]), stanza.find(f"{{{OMEMO}}}encrypted/{{{OMEMO}}}header")
        device = 0 if encrypted is None else int(encrypted.get("sid", "0"))
        if sender == self._person.jid or device in self._bundles[sender]:
            await self._pass_on(control, one, stanza)
            return
        question = f"{DECLARATION.name}-{one['number']}"
        self._waiting[question] = [one]
        asked = (
            f"<iq type='get' id='{question}' from={quoteattr(self._asking)} to={quoteattr(sender)}>"
            f"<pubsub xmlns='{PUBSUB}'><items node='{BUNDLE}{device}' max_items='1'/></pubsub></iq>"
        )
        await control.call("send_stanza", source=one["target"], target=one["source"], stanza=asked,
                           attack=DECLARATION.name)  # fmt: skip

    async def _pass_on(self, control: Control, one: Json, stanza: ET.Element) -> None:
        """Send a message on, read and encrypted anew if that can be done."""
        sender, receiver = strip_resource(one["sender"]), strip_resource(one["receiver"])
        passed = await self._translate(stanza, one, sender, receiver)
        if passed is not None:
            await control.call("send_stanza", source=one["source"], target=one["target"], stanza=passed,
                               attack=DECLARATION.name)  # fmt: skip
        async with self._changed:
            self._texts.setdefault(one["id"], None)
            self._changed.notify_all()

    def _learn(self, stanza: ET.Element) -> None:
        """The real bundle in an answer."""
        for items in stanza.iter(f"{{{PUBSUB}}}items"):
            bundle = items.find(f".//{{{OMEMO}}}bundle")
            number = items.get("node", "").removeprefix(BUNDLE)
            if bundle is not None and number.isdecimal():
                self._bundles[strip_resource(stanza.get("from", ""))][int(number)] = bundle

    async def _translate(self, stanza: ET.Element, one: Json, sender: str, receiver: str) -> str | None:
        """The stanza with its text read and encrypted anew; as it was if that cannot be; None if it has no text."""
        raw, encrypted = str(one["stanza"]), stanza.find(f"{{{OMEMO}}}encrypted")
        header = None if encrypted is None else encrypted.find(f"{{{OMEMO}}}header")
        if encrypted is None or header is None:
            return raw
        device = int(header.get("sid", "0"))
        readers = sorted(int(key.get("rid", "0")) for key in header.iter(f"{{{OMEMO}}}key"))
        try:
            if receiver == self._person.jid:
                reader = next(self._as_person[number] for number in readers if number in self._as_person)
                writer = await self._other(sender, device, one["source"])
            else:
                others = (self._as_others.get((receiver, number)) for number in readers)
                reader = next(other for other in others if other is not None)
                writer = self._as_person[device]
            await reader.meet(sender, self._bundles[sender])
            text = await reader.decrypt(encrypted, sender)
            if text is None:
                return None
            await writer.meet(receiver, self._bundles[receiver])
            again = await writer.encrypt(text, receiver)
        except (PeerError, StopIteration, KeyError) as error:
            self._federation.history.note(f"{DECLARATION.name} cannot read {stanza.get('id')}: {error or 'no key'}")
            return raw
        self._read(str(stanza.get("id")), text)
        return _ENCRYPTED.sub(lambda _: ET.tostring(again, encoding="unicode"), raw, count=1)

    async def _other(self, jid: str, device: int, server: str) -> ImpersonatedDevice:
        """Towards the person it passes as the other's device, whose keys the person fetches, too."""
        if (jid, device) not in self._as_others:
            made = self._as_others[jid, device] = await ImpersonatedDevice.create(jid, device)
            rule = _swap(jid, device, made) | {"receiver": self._person.jid}
            self._further.append(intercept((self._server, server), [rule], attack=DECLARATION.name))
            await self._further[-1].apply(self._federation)
        return self._as_others[jid, device]

    def _read(self, message: str, text: str) -> None:
        """The server has read a text: in the history, if it was a secret."""
        self._texts[message] = text
        canary = self._federation.context.canary_in(text)
        if canary is not None:
            self._federation.history.record(
                CanaryFound(
                    at=self._federation.history.now(), server=self._server, place="attack", canary=canary,
                    encoding="raw", where=DECLARATION.name, message=message,
                )
            )  # fmt: skip


def _swap(jid: str, device: int, other: ImpersonatedDevice) -> dict[str, Any]:
    """The rule that puts other keys in the place of a device's."""
    return {
        "action": "replace", "stanza": "iq", "type": "result", "sender": jid, "contains": f"{BUNDLE}{device}",
        "element": "bundle", "namespace": OMEMO, "xml": ET.tostring(other.bundle, encoding="unicode"),
    }  # fmt: skip


def _parse(intervention: Json) -> ET.Element:
    """The stanza of an intervention."""
    return ET.fromstring(f"<stream xmlns='jabber:server'>{intervention['stanza']}</stream>")[0]  # noqa: S314 - a server's


@dataclass(frozen=True, kw_only=True)
class SwappedBundle(DeclaredFault):
    """The attack as a value."""

    declaration: ClassVar[FaultDeclaration] = DECLARATION

    at: str
    of: Person
    _acting: list[BundleSwap] = field(default_factory=list, compare=False, repr=False)
    _rules: list[InjectedFault] = field(default_factory=list, compare=False, repr=False)

    @property
    def servers(self) -> tuple[str, ...]:
        """The server."""
        return (self.at,)

    async def apply(self, federation: Federation) -> BundleSwap:
        """Begin; who fetches keys from then on gets the server's. Raises UserError."""
        server = federation.server(self.at)
        if self.of.server is not server:
            raise UserError(f"{self.name}: of: {self.of} is not of {self.at}: only the own server hands out keys")
        swap = BundleSwap(federation, self.at, self.of)
        rules = await swap.prepare()
        await swap.start()
        self._acting.append(swap)
        for other in server.neighbours:
            one = intercept((server, other), rules, attack=self.name)
            self._rules.append(one)
            await one.apply(federation)
        return swap

    async def heal(self, federation: Federation) -> None:
        """Hand out the real keys again. Sessions that were begun with others stay."""
        while self._rules:
            await self._rules.pop().heal(federation)
        while self._acting:
            await self._acting.pop().stop()


def swap_bundle(*, at: ServerLike, of: Person) -> SwappedBundle:
    """Let a server hand out keys of its own as those of a person (XEP-0384), to everybody on servers linked to it.

    It reads what is encrypted to them, encrypts it anew with the person's own keys, and passes it on, both ways. The
    value in the `async with` block tells what it could read: `await cheat.decrypts(message)`. Raises UserError for each
    wrong field.
    """
    return SwappedBundle(**DECLARATION.read({"at": at, "of": of}))
