"""OMEMO 0.3 on a device that has lost its private keys: others find its keys and encrypt to it, in vain."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from lab.clients.encryption import DecryptedMessage, SealedMessage
from lab.clients.encryption.omemo import OmemoStrategy
from lab.clients.xmpp.stanzas import Incoming
from lab.errors import PeerError

_LOST = "this device has published keys and lost the private ones"


class KeysLostStrategy(OmemoStrategy):
    """Publishes like OMEMO 0.3, and can use nothing of it."""

    name = "omemo-keys-lost"

    async def seal(self, message: ET.Element, people: frozenset[str]) -> SealedMessage:
        """Raises PeerError."""
        raise PeerError(f"not sent: {_LOST}: it cannot encrypt")

    async def decrypt(self, incoming: Incoming, sender: str) -> DecryptedMessage | None:
        """Raises PeerError."""
        raise PeerError(f"{_LOST}: it cannot decrypt")


STRATEGY = KeysLostStrategy
