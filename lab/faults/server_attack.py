"""What attacks by a person's own server share: what it could read, and how it learns what others publish."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from lab.clients.encryption.impersonation import VERSIONS
from lab.errors import UserError
from lab.faults.client_interception import InterceptedDevice
from lab.faults.fault import DeclaredFault, InjectedFault
from lab.faults.stanza_interception import intercept
from lab.federation import Federation, Message, Person, ServerHandle
from lab.federation.context import Json, read_duration
from lab.history.events import CanaryFound
from lab.metrics.jids import strip_resource
from lab.network.control import Control

PUBSUB = "http://jabber.org/protocol/pubsub"
WAIT = 5.0  # seconds that one question for interventions waits for an answer


#: The element of a device list, by the namespace of a version of OMEMO.
LISTS: Mapping[str, str] = {"eu.siacs.conversations.axolotl": "list", "urn:xmpp:omemo:2": "devices"}


class ServerDeception(ABC):
    """What a server tells others of one of its people, or to one of somebody else's: rules that stay as they are."""

    name: ClassVar[str]  # of the fault

    def __init__(self, federation: Federation, server: str, person: Person) -> None:
        self._federation, self._server, self._person = federation, server, person

    @abstractmethod
    async def prepare(self) -> list[Mapping[str, Any]]:
        """The rules for stanzas on each link of the server."""

    async def start(self) -> None:  # noqa: B027 - rules alone need nothing more
        """Deal with what rules act on, from now on."""

    async def stop(self) -> None:  # noqa: B027
        """Deal with nothing more. Raises what dealing with it has raised."""

    async def fetch_own(self, node: str, item: str | None = None) -> ET.Element | None:
        """What the person has published: the payload of an item, or of a node's only one. None if there is none."""
        one = "" if item is None else f"<item id={quoteattr(item)}/>"
        asked = f"<items node={quoteattr(node)}>{one}</items>"
        answer = await self._person.device.iq(f"<iq type='get'><pubsub xmlns='{PUBSUB}'>{asked}</pubsub></iq>")
        found = answer.element.find(f".//{{{PUBSUB}}}item")
        return None if answer.type == "error" or found is None or not len(found) else found[0]


class ServerAttack(ServerDeception):
    """What a script sees of an attack by a person's own server: what it could read."""

    def __init__(self, federation: Federation, server: str, person: Person) -> None:
        super().__init__(federation, server, person)
        #: The real bundles of others, by namespace and bare JID, then by device.
        self._bundles: dict[tuple[str, str], dict[int, ET.Element]] = defaultdict(dict)
        self._waiting: dict[str, Json] = {}  # what waits for a bundle, by the id of the question for it
        self._texts: dict[str, str | None] = {}  # by the id of each message that was dealt with; None: not readable
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

    @abstractmethod
    async def deal(self, control: Control, one: Json) -> None:
        """Deal with one stanza of the person's, or for them, that a rule acted on."""

    async def start(self) -> None:
        """Deal with what rules act on, from now on."""
        async with self._federation.lab.open_control() as control:
            since = (await control.call("interventions"))["last"]
        self._task = asyncio.create_task(self._follow(since))

    async def stop(self) -> None:
        """Deal with nothing more. Raises what dealing with it has raised."""
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
                    # The same attack may act on others at the same time.
                    people = {strip_resource(one["sender"]), strip_resource(one["receiver"])}
                    if one["attack"] == self.name and one["action"] != "send" and self._person.jid in people:
                        await self.deal(control, one)

    # -- bundles of others ------------------------------------------------------------------------------------------

    @property
    def asking(self) -> str:
        """The full JID under which the server asks others for bundles."""
        return f"{self._person.jid}/{self.name}"

    @property
    def answers(self) -> dict[str, Any]:
        """The rule that keeps the answers from the person."""
        return {"action": "drop", "stanza": "iq", "receiver": self.asking}

    async def ask_bundle(self, control: Control, one: Json, namespace: str, device: int) -> None:
        """Ask for the bundle of a message's sender; `learn` gives the message back once it is there."""
        question = f"{self.name}-{one['number']}"
        self._waiting[question] = one
        node, item = VERSIONS[namespace].locate_bundle(device)
        items = (
            f"<items node={quoteattr(node)} max_items='1'/>"
            if item is None
            else f"<items node={quoteattr(node)}><item id={quoteattr(item)}/></items>"
        )
        asked = (
            f"<iq type='get' id='{question}' from={quoteattr(self.asking)} "
            f"to={quoteattr(strip_resource(one['sender']))}><pubsub xmlns='{PUBSUB}'>{items}</pubsub></iq>"
        )
        await self.send(control, one["target"], one["source"], asked)

    def learn(self, one: Json, stanza: ET.Element) -> Json | None:
        """Remember the real bundle in an answer; the message that waited for it, if one did."""
        owner = strip_resource(stanza.get("from", ""))
        for items in stanza.iter(f"{{{PUBSUB}}}items"):
            for namespace in VERSIONS:
                for item in items.iter(f"{{{PUBSUB}}}item"):
                    bundle = item.find(f"{{{namespace}}}bundle")
                    number = _device_of(namespace, items.get("node", ""), item.get("id", ""))
                    if bundle is not None and number is not None:
                        self._bundles[namespace, owner][number] = bundle
        return self._waiting.pop(one["id"], None)

    # -- what it does -----------------------------------------------------------------------------------------------

    async def send(self, control: Control, source: str, target: str, stanza: str) -> None:
        """Send a stanza on the stream from one server to the other."""
        await control.call("send_stanza", source=source, target=target, stanza=stanza, attack=self.name)

    async def settle_message(self, message: str) -> None:
        """A message has been dealt with, whether it could be read or not."""
        async with self._changed:
            self._texts.setdefault(message, None)
            self._changed.notify_all()

    def read(self, message: str, text: str | None) -> None:
        """The server has read a text: in the history, if it was a secret."""
        self._texts[message] = text
        canary = None if text is None else self._federation.context.canary_in(text)
        if canary is not None:
            self._federation.history.record(
                CanaryFound(
                    at=self._federation.history.now(), server=self._server, place="attack", canary=canary,
                    encoding="raw", where=self.name, message=message,
                )
            )  # fmt: skip

    def note(self, message: str | None, error: Exception) -> None:
        """Note in the history why a message cannot be read."""
        self._federation.history.note(f"{self.name} cannot read {message}: {error or 'no key'}")


def _device_of(namespace: str, node: str, item: str) -> int | None:
    """The device whose bundle is an item of a node, None if it is no bundle's."""
    for number in (node.rpartition(":")[2], item):
        if number.isdecimal() and VERSIONS[namespace].locate_bundle(int(number)) in ((node, None), (node, item)):
            return int(number)
    return None


def parse_stanza(intervention: Json) -> ET.Element:
    """The stanza of an intervention, as it was received."""
    return ET.fromstring(f"<stream xmlns='jabber:server'>{intervention['stanza']}</stream>")[0]  # noqa: S314 - a server's


A = TypeVar("A", bound=ServerDeception)


@dataclass(frozen=True, kw_only=True)
class ServerFault(DeclaredFault):
    """A server that deceives as a value: rules on its links, and what deals with the stanzas on which they act."""

    at: str
    _acting: list[ServerDeception] = field(default_factory=list, compare=False, repr=False)
    _rules: list[InjectedFault | InterceptedDevice] = field(default_factory=list, compare=False, repr=False)

    @property
    def servers(self) -> Sequence[str]:
        """The server."""
        return (self.at,)

    async def begin(
        self, federation: Federation, attack: A, others: Sequence[ServerHandle], direction: str = "both"
    ) -> A:
        """Let it act on the links to these servers; `direction` "to" is towards them. Raises UserError."""
        rules = await attack.prepare()
        await attack.start()
        self._acting.append(attack)
        for other in others:
            one = intercept((self.at, other), rules, direction=direction, attack=self.name)
            self._rules.append(one)
            await one.apply(federation)
        return attack

    async def heal(self, federation: Federation) -> None:
        """Act no more. Sessions that were begun with other keys than the real ones stay."""
        while self._rules:
            await self._rules.pop().heal(federation)
        while self._acting:
            await self._acting.pop().stop()


@dataclass(frozen=True, kw_only=True)
class ServerAttackFault(ServerFault, Generic[A]):
    """An attack by a person's own server as a value."""

    of: Person

    async def apply(self, federation: Federation) -> A:
        """Begin; who fetches keys from then on gets the server's. Raises UserError."""
        server = federation.server(self.at)
        if self.of.server is not server:
            raise UserError(f"{self.name}: of: {self.of} is not of {self.at}: only the own server hands out keys")
        return await self.begin(federation, self.create_attack(federation), server.neighbours)

    @abstractmethod
    def create_attack(self, federation: Federation) -> A:
        """The attack, which has not begun."""
