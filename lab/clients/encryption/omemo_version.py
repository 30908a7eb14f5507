"""What differs between the versions of OMEMO: namespaces, nodes, how things are written, and what is encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar
from xml.etree import ElementTree as ET

import omemo
from omemo.types import DeviceList

from lab.clients.encryption import pep
from lab.clients.encryption.key_store import KeyStore
from lab.clients.encryption.sessions import SessionArchive
from lab.clients.xmpp.client_stream import ClientStream
from lab.clients.xmpp.stanzas import Incoming


class OmemoVersion:
    """A version of OMEMO, for one live stream of one device. What reads XML raises ValueError, or as xmlschema does."""

    name: ClassVar[str]  # of its encryption
    namespace: ClassVar[str]
    device_list: ClassVar[str]  # the node with the device list
    fallback: ClassVar[str | None]  # the body of a message for clients without OMEMO; None: it must not have one
    envelopes: ClassVar[bool]  # whether all that is for the receiver is encrypted (XEP-0420), and not the body alone
    sessions: SessionArchive

    def __init__(self, store: KeyStore) -> None:
        self._lists: dict[str, tuple[list[tuple[Any, ...]], DeviceList]] = {}  # by owner: as it is written, as read

    # What is published

    @staticmethod
    def locate_bundle(device: int) -> tuple[str, str | None]:
        """The node of a device's bundle, and the item's id if that node has several."""
        raise NotImplementedError

    def write_bundle(self, bundle: omemo.Bundle) -> ET.Element:
        """A bundle as it is published."""
        raise NotImplementedError

    async def publish_bundle(self, stream: ClientStream, bundle: omemo.Bundle) -> None:
        """Publish the own bundle. Raises Refused."""
        raise NotImplementedError

    async def fetch_bundle(self, stream: ClientStream, of: str, device: int) -> ET.Element | None:
        """The bundle that a device has published, if it has. Raises Refused."""
        node, item = self.locate_bundle(device)
        return await pep.fetch(stream, of, node, item)

    async def delete_bundle(self, stream: ClientStream, device: int) -> None:
        """Delete a bundle of the own account. Raises Refused."""
        raise NotImplementedError

    def read_bundle(self, element: ET.Element, of: str, device: int) -> omemo.Bundle:
        """A bundle as the library has it."""
        raise NotImplementedError

    def write_device_list(self, devices: DeviceList) -> ET.Element:
        """A device list as it is published."""
        raise NotImplementedError

    def read_device_list(self, element: ET.Element) -> DeviceList:
        """A device list as the library has it."""
        raise NotImplementedError

    def read_device_list_of(self, owner: str, element: ET.Element) -> DeviceList:
        """The same; one that is as the owner's last one is not checked again.

        Lists are fetched before each message and hardly ever change, and to check two costs as much as to encrypt.
        """
        written = [(one.tag, one.text, *one.attrib.items()) for one in element.iter()]
        known = self._lists.get(owner)
        if known is None or known[0] != written:
            known = self._lists[owner] = written, self.read_device_list(element)
        return {**known[1]}

    # Messages

    def write_message(self, message: omemo.Message) -> ET.Element:
        """The element of an encrypted message."""
        raise NotImplementedError

    async def read_message(
        self, element: ET.Element, sender: str, own: str, manager: omemo.SessionManager
    ) -> omemo.Message:
        """An encrypted message as the library has it; `sender` and `own` are bare JIDs."""
        raise NotImplementedError

    def write_plaintext(self, content: Sequence[ET.Element], sender: str, receiver: str) -> bytes:
        """What is encrypted for a message with these children; `sender` and `receiver` are JIDs."""
        raise NotImplementedError

    def find_text(self, plaintext: bytes) -> str | None:
        """The text in what was decrypted, whoever it is said to be from or for. Raises PeerError if it is malformed."""
        raise NotImplementedError

    def read_plaintext(self, plaintext: bytes, incoming: Incoming, sender: str) -> list[ET.Element]:
        """The children of a message in what was decrypted. Raises PeerError for what is not to be believed."""
        raise NotImplementedError
