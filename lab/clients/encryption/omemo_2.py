"""OMEMO 2, urn:xmpp:omemo:2 (XEP-0384 version 0.9), as python-twomemo has it.

All bundles of an account are items of one node, and what is encrypted is an envelope (XEP-0420).
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import omemo
import twomemo
import twomemo.etree
from omemo.message import KeyExchange
from omemo.types import DeviceList
from twomemo.twomemo import NAMESPACE, BundleImpl, KeyExchangeImpl
from typing_extensions import override

from lab.clients.encryption import envelope, pep
from lab.clients.encryption.key_store import KeyStore
from lab.clients.encryption.omemo_version import OmemoVersion
from lab.clients.encryption.sessions import SessionArchive
from lab.clients.xmpp.client_stream import ClientStream
from lab.clients.xmpp.stanzas import Incoming

BUNDLES = f"{NAMESPACE}:bundles"


class Omemo2Sessions(SessionArchive, twomemo.Twomemo):
    """python-twomemo's cryptography, with an archive of sessions."""

    def __init__(self, store: KeyStore) -> None:
        twomemo.Twomemo.__init__(self, store)
        self._store, self._used = store, []

    @override
    def read_ephemeral_key(self, exchange: KeyExchange) -> bytes:
        assert isinstance(exchange, KeyExchangeImpl)
        return exchange.header.ephemeral_key


class Omemo2(OmemoVersion):
    """XEP-0384 version 0.9."""

    name = "omemo:2"
    namespace = NAMESPACE
    device_list = f"{NAMESPACE}:devices"
    envelopes = True
    fallback = None  # XEP-0420 section "Sending an encrypted stanza"

    def __init__(self, store: KeyStore) -> None:
        super().__init__(store)
        self.sessions = Omemo2Sessions(store)
        self._made = False

    @staticmethod
    @override
    def locate_bundle(device: int) -> tuple[str, str | None]:
        return BUNDLES, str(device)

    @override
    def write_bundle(self, bundle: omemo.Bundle) -> ET.Element:
        assert isinstance(bundle, BundleImpl)
        return twomemo.etree.serialize_bundle(bundle)

    @override
    async def publish_bundle(self, stream: ClientStream, bundle: omemo.Bundle) -> None:
        if not self._made:
            await pep.make_node_of_many(stream, BUNDLES)
            self._made = True
        await pep.publish(stream, BUNDLES, self.write_bundle(bundle), item=str(bundle.device_id))

    @override
    async def delete_bundle(self, stream: ClientStream, device: int) -> None:
        await pep.retract(stream, BUNDLES, str(device))

    @override
    def read_bundle(self, element: ET.Element, of: str, device: int) -> omemo.Bundle:
        return twomemo.etree.parse_bundle(element, of, device)

    @override
    def write_device_list(self, devices: DeviceList) -> ET.Element:
        return twomemo.etree.serialize_device_list(devices)

    @override
    def read_device_list(self, element: ET.Element) -> DeviceList:
        return twomemo.etree.parse_device_list(element)

    @override
    def write_message(self, message: omemo.Message) -> ET.Element:
        return twomemo.etree.serialize_message(message)

    @override
    async def read_message(
        self, element: ET.Element, sender: str, own: str, manager: omemo.SessionManager
    ) -> omemo.Message:
        return twomemo.etree.parse_message(element, sender)

    @override
    def write_plaintext(self, content: Sequence[ET.Element], sender: str, receiver: str) -> bytes:
        return envelope.write(content, sender, receiver)

    @override
    def find_text(self, plaintext: bytes) -> str | None:
        return envelope.find_body(plaintext)

    @override
    def read_plaintext(self, plaintext: bytes, incoming: Incoming, sender: str) -> list[ET.Element]:
        return envelope.read(plaintext, incoming, sender)
