"""What it costs to encrypt and to decrypt a message, beside the bare library on the same data, in one run.

    python benchmarks/encryption.py [messages per round (200)] [rounds (7)]

OMEMO 0.3 and 2, one device each, in a session that both have confirmed. The lab's side is a device's strategy, from the
stanza with a body to the stanza that is sent, and from the stanza that is received to the text. The bare side is
python-omemo with oldmemo or twomemo, with a storage that does not copy, from the same plaintext to the same element and
back. Both sides write the same stanza as bytes and read it again. Device lists are answered from memory, as a server
would, so that what the lab does with the answer counts and the stream does not. A round has as many messages of each,
in turn, answered after each tenth one; the ratio is the median of the rounds'.

Then 1000 messages in one direction, keys in files: first the empty messages of the receiver (heartbeats) are handed
over, and the last hundreds should not cost more than the first (of the first itself, with the first contact, nothing is
said); then those of 1000 more messages are lost but the last one, and what follows should cost no more than half as
much again. OTR: messages that libotr encrypts and decrypts per CPU second.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import oldmemo
import oldmemo.etree
import omemo
import twomemo
import twomemo.etree
from _load import Aims
from omemo.storage import Maybe, Nothing, Storage
from omemo.types import DeviceList
from slixmpp_omemo.base_session_manager import BaseSessionManager, TrustLevel
from typing_extensions import override

from lab.clients.encryption import EncryptionSettings, create_strategy, envelope, libotr, pep
from lab.clients.encryption.libotr import OtrClient
from lab.clients.encryption.omemo_0_3 import Omemo03
from lab.clients.encryption.omemo_message import HINTS
from lab.clients.xmpp.stanzas import CLIENT, EME, read
from lab.declarations.encryptions.otr import DECLARATION
from lab.runtime.debian import libraries

ALICE, BOB = "alice@a.test", "bob@b.test"
TEXT = 64 * "x"
ONE_WAY = 1000
NODES: dict[tuple[str, str, str], ET.Element] = {}  # what everybody has published


async def publish(stream: Any, node: str, payload: ET.Element, item: str = pep.CURRENT) -> None:
    """In place of a server's."""
    NODES[stream.boundjid.bare, node, item] = payload


async def fetch(stream: Any, of: str, node: str, item: str | None = None) -> ET.Element | None:
    """In place of a server's."""
    return NODES.get((of, node, item or pep.CURRENT))


async def nothing(*_: Any, **__: Any) -> None:
    """In place of what only a server does."""


class Party:
    """Somebody with one device: writes stanzas, reads them."""

    jid: str
    heartbeats: list[bytes]

    async def write(self, to: str) -> bytes:
        """An encrypted message as it is sent."""
        raise NotImplementedError

    async def read(self, stanza: bytes) -> str | None:
        """The text in it; None in an empty message."""
        raise NotImplementedError


class LabParty(Party):
    """A device of the lab."""

    def __init__(self, jid: str, encryption: str, folder: Path | None = None) -> None:
        self.jid, self.heartbeats, self.memory = jid, [], dict[str, Any]()
        plugins = {"xep_0030": SimpleNamespace(add_feature=lambda _: None)}
        plugins["xep_0115"] = SimpleNamespace(update_caps=nothing)
        strategy: Any = create_strategy(encryption, EncryptionSettings("blind", folder, self.memory, print))
        stream: Any = SimpleNamespace(
            boundjid=SimpleNamespace(bare=jid),
            plugin=plugins,
            register_plugin=lambda _: None,
            register_handler=lambda _: None,
        )
        strategy.prepare(stream)
        strategy._send_empty = lambda element, _: self.heartbeats.append(self._stanza(element))
        self.strategy = strategy

    def _stanza(self, *children: ET.Element) -> bytes:
        xml = ET.Element(f"{{{CLIENT}}}message", {"from": f"{self.jid}/x", "id": "m1", "type": "chat"})
        xml.extend(children)
        return ET.tostring(xml)

    async def begin(self) -> LabParty:
        """Publish its keys."""
        await self.strategy.start()
        await self.strategy.ready()
        return self

    @override
    async def write(self, to: str) -> bytes:
        message = ET.Element(f"{{{CLIENT}}}message", {"to": to, "id": "m1", "type": "chat", "from": f"{self.jid}/x"})
        ET.SubElement(message, f"{{{CLIENT}}}body").text = TEXT
        (stanza,) = (await self.strategy.seal(message, frozenset({to}))).stanzas
        return ET.tostring(stanza)

    @override
    async def read(self, stanza: bytes) -> str | None:
        incoming: Any = read(ET.fromstring(stanza), self.jid, f"{self.jid}/y")  # noqa: S314 - our own
        found = await self.strategy.decrypt(incoming, incoming.sender.partition("/")[0])
        return None if found is None else found.body


class Value(Maybe[Any]):
    """A stored value, as it is."""

    is_just, is_nothing = True, False

    def __init__(self, value: Any) -> None:
        self._value = value

    @override
    def from_just(self) -> Any:
        return self._value

    @override
    def maybe(self, default: Any) -> Any:
        return self._value

    @override
    def fmap(self, function: Callable[[Any], Any]) -> Value:
        return Value(function(self._value))


class BareStorage(Storage):
    """In memory, without copies."""

    def __init__(self) -> None:
        super().__init__(disable_cache=True)
        self.values: dict[str, Any] = {}

    async def _load(self, key: str) -> Maybe[Any]:
        return Value(self.values[key]) if key in self.values else Nothing()

    async def _store(self, key: str, value: Any) -> None:
        self.values[key] = value

    async def _delete(self, key: str) -> None:
        self.values.pop(key, None)


BUNDLES: dict[tuple[str, int], omemo.Bundle] = {}
DEVICES: dict[str, DeviceList] = {}


def manager_class(party: BareParty) -> type[BaseSessionManager]:
    """The library's session manager, with everything published in memory."""

    class Manager(BaseSessionManager):
        _btbv_enabled = True

        @staticmethod
        async def _upload_bundle(bundle: omemo.Bundle) -> None:
            BUNDLES[bundle.bare_jid, bundle.device_id] = bundle

        @staticmethod
        async def _download_bundle(namespace: str, bare_jid: str, device_id: int) -> omemo.Bundle:
            return BUNDLES[bare_jid, device_id]

        @staticmethod
        async def _delete_bundle(namespace: str, device_id: int) -> None: ...

        @staticmethod
        async def _upload_device_list(namespace: str, device_list: DeviceList) -> None:
            DEVICES[party.jid] = device_list

        @staticmethod
        async def _download_device_list(namespace: str, bare_jid: str) -> DeviceList:
            return DEVICES.get(bare_jid, {})

        async def _prompt_manual_trust(self, manually_trusted: Any, identifier: str | None) -> None: ...

        @staticmethod
        async def _send_message(message: omemo.Message, bare_jid: str) -> None:
            party.heartbeats.append(party.stanza(party.etree.serialize_message(message)))

    return Manager


class BareParty(Party):
    """A device of the library alone."""

    def __init__(self, jid: str, encryption: str) -> None:
        self.jid, self.heartbeats, self.storage = jid, [], BareStorage()
        self.two = encryption == "omemo:2"
        self.etree: Any = twomemo.etree if self.two else oldmemo.etree
        self.backend: Any = (twomemo.Twomemo if self.two else oldmemo.Oldmemo)(self.storage)

    async def begin(self) -> BareParty:
        """Publish its keys."""
        self.manager = await manager_class(self).create(
            [self.backend], self.storage, self.jid, None, TrustLevel.UNDECIDED.name
        )
        await self.manager.after_history_sync()
        return self

    @override
    async def write(self, to: str) -> bytes:
        body = ET.Element(f"{{{CLIENT}}}body")
        body.text = TEXT
        plaintext = envelope.write([body], self.jid, to) if self.two else TEXT.encode()
        (message,), failed = await self.manager.encrypt(frozenset({to}), {self.backend.namespace: plaintext})
        assert not failed
        return self.stanza(self.etree.serialize_message(message))

    def stanza(self, element: ET.Element) -> bytes:
        """As any client sends it: the lab's has no more in it."""
        xml = ET.Element(f"{{{CLIENT}}}message", {"to": BOB, "from": f"{self.jid}/x", "id": "m1", "type": "chat"})
        if not self.two:
            ET.SubElement(xml, f"{{{CLIENT}}}body").text = Omemo03.fallback
        xml.append(element)
        ET.SubElement(xml, f"{{{EME}}}encryption", {"namespace": self.backend.namespace, "name": "OMEMO"})
        ET.SubElement(xml, f"{{{HINTS}}}store")
        return ET.tostring(xml)

    @override
    async def read(self, stanza: bytes) -> str | None:
        xml, sender = ET.fromstring(stanza), BOB if self.jid == ALICE else ALICE  # noqa: S314 - our own
        xml = next(one for one in xml if one.tag.endswith("}encrypted"))
        if self.two:
            message = self.etree.parse_message(xml, sender)
        else:
            message = await self.etree.parse_message(xml, sender, self.jid, self.manager)
        plaintext, _, _ = await self.manager.decrypt(message)
        if plaintext is None or not self.two:
            return None if plaintext is None else plaintext.decode()
        return ET.fromstring(plaintext).findtext(f".//{{{CLIENT}}}body")  # noqa: S314 - our own


async def carry(sender: Party, receiver: Party) -> None:
    """One message, and the empty messages that answer it."""
    text = await receiver.read(await sender.write(receiver.jid))
    assert text == TEXT, text
    while receiver.heartbeats:
        assert await sender.read(receiver.heartbeats.pop(0)) is None


async def converse(alice: Party, bob: Party, messages: int) -> float:
    """CPU seconds for a conversation of so many messages; each tenth is an answer."""
    began = time.process_time()
    for number in range(messages):
        await (carry(bob, alice) if number % 10 == 9 else carry(alice, bob))
    return time.process_time() - began


async def confirmed(alice: Party, bob: Party) -> tuple[Party, Party]:
    """The two, in a session that both have confirmed."""
    await converse(alice, bob, 20)
    return alice, bob


async def compare(encryption: str, messages: int, rounds: int, aims: Aims) -> None:
    """The lab beside the library."""
    lab = await confirmed(await LabParty(ALICE, encryption).begin(), await LabParty(BOB, encryption).begin())
    DEVICES.clear()
    bare = await confirmed(*await bare_pair(encryption))
    found = [(await converse(*lab, messages), await converse(*bare, messages)) for _ in range(rounds)]
    ours, theirs = (median(column) for column in zip(*found, strict=True))
    print(f"{encryption}: {1000 * ours / messages:.2f} ms CPU a message, the library {1000 * theirs / messages:.2f}")
    ratio = median(mine / other for mine, other in found)
    aims.at_most(f"{encryption}: times the CPU of the library with a storage that does not copy", ratio, 1.2)


async def bare_pair(encryption: str) -> tuple[BareParty, BareParty]:
    """Two devices of the library, who know each other's device lists."""
    both = await BareParty(ALICE, encryption).begin(), await BareParty(BOB, encryption).begin()
    for party in both:
        for jid, devices in DEVICES.items():
            await party.manager.update_device_list(party.backend.namespace, jid, devices)
    return both


async def grow(encryption: str, aims: Aims) -> None:
    """Messages in one direction."""
    with tempfile.TemporaryDirectory() as folder:
        alice = await LabParty(ALICE, encryption, Path(folder) / "alice").begin()
        bob = await LabParty(BOB, encryption, Path(folder) / "bob").begin()
        costs = [await hundred(alice, bob) for _ in range(ONE_WAY // 100)]
        shown = " ".join(f"{1000 * cost:.2f}" for cost in costs)
        print(f"{encryption}: ms CPU a message of each hundred in one direction: {shown}")
        aims.at_most(
            f"{encryption}: the last hundreds of {ONE_WAY} beside the first",
            median(costs[-3:]) / median(costs[1:4]),
            1.2,
        )
        for _ in range(ONE_WAY):
            await bob.read(await alice.write(bob.jid))
        await alice.read(bob.heartbeats.pop())
        bob.heartbeats.clear()
        after = [await hundred(alice, bob) for _ in range(3)]
        aims.at_most(
            f"{encryption}: hundreds after lost heartbeats beside the first", median(after) / median(costs[1:4]), 1.5
        )


async def hundred(alice: Party, bob: Party) -> float:
    """CPU seconds a message, of a hundred in one direction."""
    began = time.process_time()
    for _ in range(100):
        await carry(alice, bob)
    return (time.process_time() - began) / 100


async def sizes(encryption: str) -> None:
    """Bytes of a stanza, by the number of the receiver's devices."""
    alice, found, devices = await LabParty(ALICE, encryption).begin(), {}, 0
    for wanted in (1, 2, 11):
        while devices < wanted:
            await LabParty(BOB, encryption).begin()
            devices += 1
        await alice.write(BOB)  # the first one has key exchanges, as long as nobody has answered
        found[wanted] = fmean([len(await alice.write(BOB)) for _ in range(50)])
    more = (found[11] - found[1]) / 10
    print(
        f"{encryption}: {len(TEXT)} characters are {found[1]:.0f} bytes for one device, {more:.0f} more for each"
        " further one, with key exchanges"
    )


async def otr(messages: int) -> None:
    """OTR messages per CPU second, encrypted and decrypted."""
    folder = None
    if not libraries.is_installed(DECLARATION.library):
        folder = str(await libraries.ensure_library(DECLARATION.library_package, print))
    library = libotr.load(folder)
    with tempfile.TemporaryDirectory() as keys:
        alice, bob = (OtrClient(jid, Path(keys) / jid, library) for jid in (ALICE, BOB))
        queue = [(ALICE, BOB, alice.build_offer())]
        ends = {ALICE: alice, BOB: bob}
        while queue:
            sender, to, text = queue.pop(0)
            queue += [(to, *one) for one in ends[to].receive(sender, text).texts]
        began = time.process_time()
        for number in range(messages):
            sender, to = (BOB, ALICE) if number % 10 == 9 else (ALICE, BOB)
            ((_, text),) = ends[sender].encrypt(to, TEXT).texts
            size = len(text)
            assert ends[to].receive(sender, text).body == TEXT
        used = time.process_time() - began
    print(f"otr: {messages / used:.0f} messages per CPU second, {1000 * used / messages:.2f} ms each")
    print(f"otr: {len(TEXT)} characters are a body of {size} bytes; OTR is for one device")


async def main(messages: int, rounds: int) -> int:
    """Print each figure beside its aim."""
    logging.getLogger(omemo.SessionManager.LOG_TAG).setLevel(logging.ERROR)
    for function in (publish, fetch):
        setattr(pep, function.__name__, function)
    pep.make_node_of_many = nothing
    aims = Aims()
    for encryption in ("omemo", "omemo:2"):
        await compare(encryption, messages, rounds, aims)
        NODES.clear()
        await grow(encryption, aims)
        NODES.clear()
        await sizes(encryption)
        NODES.clear()
        BUNDLES.clear()
        DEVICES.clear()
    await otr(10 * messages)
    return int(aims.missed > 0)


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]] + [200, 7][len(sys.argv) - 1 :]
    sys.exit(asyncio.run(main(*given)))
