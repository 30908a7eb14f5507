"""OMEMO 0.3, eu.siacs.conversations.axolotl, as python-oldmemo has it: a bundle per node, and the body is encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import oldmemo
import oldmemo.etree
import omemo
from oldmemo.oldmemo import NAMESPACE, BundleImpl, KeyExchangeImpl
from omemo.message import KeyExchange
from omemo.types import DeviceList
from typing_extensions import override

from lab.clients.encryption import envelope, pep
from lab.clients.encryption.key_store import KeyStore
from lab.clients.encryption.omemo_message import FALLBACK
from lab.clients.encryption.omemo_version import OmemoVersion
from lab.clients.encryption.sessions import SessionArchive
from lab.clients.xmpp.client_stream import ClientStream
from lab.clients.xmpp.stanzas import CLIENT, Incoming

BUNDLE = f"{NAMESPACE}.bundles:{{}}"


class Omemo03Sessions(SessionArchive, oldmemo.Oldmemo):
    """python-oldmemo's cryptography, with an archive of sessions."""

    def __init__(self, store: KeyStore) -> None:
        oldmemo.Oldmemo.__init__(self, store)
        self._store, self._used = store, []

    @override
    def read_ephemeral_key(self, exchange: KeyExchange) -> bytes:
        assert isinstance(exchange, KeyExchangeImpl)
        return exchange.header.ephemeral_key


class Omemo03(OmemoVersion):
    """XEP-0384 version 0.3."""

    name = "omemo"
    namespace = NAMESPACE
    device_list = f"{NAMESPACE}.devicelist"
    envelopes = False
    fallback = FALLBACK

    def __init__(self, store: KeyStore) -> None:
        super().__init__(store)
        self.sessions = Omemo03Sessions(store)

    @staticmethod
    @override
    def locate_bundle(device: int) -> tuple[str, str | None]:
        return BUNDLE.format(device), None

    @override
    def write_bundle(self, bundle: omemo.Bundle) -> ET.Element:
        assert isinstance(bundle, BundleImpl)
        return oldmemo.etree.serialize_bundle(bundle)

    @override
    async def publish_bundle(self, stream: ClientStream, bundle: omemo.Bundle) -> None:
        await pep.publish(stream, BUNDLE.format(bundle.device_id), self.write_bundle(bundle))

    @override
    async def delete_bundle(self, stream: ClientStream, device: int) -> None:
        await pep.delete(stream, BUNDLE.format(device))

    @override
    def read_bundle(self, element: ET.Element, of: str, device: int) -> omemo.Bundle:
        return oldmemo.etree.parse_bundle(element, of, device)

    @override
    def write_device_list(self, devices: DeviceList) -> ET.Element:
        return oldmemo.etree.serialize_device_list(devices)

    @override
    def read_device_list(self, element: ET.Element) -> DeviceList:
        return oldmemo.etree.parse_device_list(element)

    @override
    def write_message(self, message: omemo.Message) -> ET.Element:
        return oldmemo.etree.serialize_message(message)

    @override
    async def read_message(
        self, element: ET.Element, sender: str, own: str, manager: omemo.SessionManager
    ) -> omemo.Message:
        return await oldmemo.etree.parse_message(element, sender, own, manager)

    @override
    def write_plaintext(self, content: Sequence[ET.Element], sender: str, receiver: str) -> bytes:
        return (envelope.read_text(content) or "").encode()

    @override
    def find_text(self, plaintext: bytes) -> str | None:
        return plaintext.decode("utf-8", "replace")

    @override
    def read_plaintext(self, plaintext: bytes, incoming: Incoming, sender: str) -> list[ET.Element]:
        body = ET.Element(f"{{{CLIENT}}}body")
        body.text = self.find_text(plaintext)
        return [body]
