"""No encryption: the body travels as it is, for every server on the way to read."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from lab.clients.encryption import DecryptedMessage, DeviceKey, EncryptionSettings, LeftOutDevice
from lab.clients.xmpp.client_stream import ClientStream
from lab.clients.xmpp.stanzas import Incoming
from lab.errors import UserError

_NO_KEYS = "this device does not encrypt: connect it with encryption=omemo"


class PlainStrategy:
    """Sends bodies as they are, and decrypts nothing."""

    name = "plain"

    def __init__(self, settings: EncryptionSettings) -> None:
        """Nothing to keep."""

    def prepare(self, stream: ClientStream) -> None:
        """Nothing is needed."""

    async def start(self) -> dict[str, Any]:
        """Nothing to publish."""
        return {}

    async def ready(self) -> None:
        """Nothing to wait for."""

    async def encrypt(self, body: str, message: ET.Element, people: frozenset[str]) -> list[LeftOutDevice]:
        """Put the body into the message."""
        namespace = message.tag.partition("}")[0]
        ET.SubElement(message, f"{namespace}}}body").text = body
        return []

    async def decrypt(self, incoming: Incoming, sender: str) -> DecryptedMessage | None:
        """Nothing can be decrypted: an encrypted message gives no further event."""
        return None

    async def devices(self, of: str) -> list[int]:
        """Raises UserError."""
        raise UserError(_NO_KEYS)

    async def keys(self, of: str) -> list[DeviceKey]:
        """Raises UserError."""
        raise UserError(_NO_KEYS)

    async def set_trust(self, of: str, fingerprint: str, level: str) -> None:
        """Raises UserError."""
        raise UserError(_NO_KEYS)

    async def close(self) -> None:
        """Nothing runs."""


STRATEGY = PlainStrategy
