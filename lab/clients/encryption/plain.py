"""No encryption: the body travels as it is, for every server on the way to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lab.clients.encryption import Key, Opened, Settings
from lab.errors import UserError

if TYPE_CHECKING:
    from lab.clients.stanzas import Incoming
    from lab.clients.stream import Stream

_NO_KEYS = "this device does not encrypt: connect it with encryption=omemo"


class Strategy:
    """Sends bodies as they are, and opens nothing."""

    name = "plain"

    def __init__(self, settings: Settings) -> None:
        """Nothing to keep."""

    def prepare(self, stream: Stream) -> None:
        """Nothing is needed."""

    async def start(self) -> dict[str, Any]:
        """Nothing to publish."""
        return {}

    async def settled(self) -> None:
        """Nothing to wait for."""

    async def seal(self, body: str, message: ET.Element, people: frozenset[str]) -> list[str]:
        """Put the body into the message."""
        namespace = message.tag.partition("}")[0]
        ET.SubElement(message, f"{namespace}}}body").text = body
        return []

    async def open(self, incoming: Incoming, sender: str) -> Opened | None:
        """Nothing can be opened: an encrypted message stays closed, without an event."""
        return None

    async def devices(self, of: str) -> list[int]:
        """Raises UserError."""
        raise UserError(_NO_KEYS)

    async def keys(self, of: str) -> list[Key]:
        """Raises UserError."""
        raise UserError(_NO_KEYS)

    async def set_trust(self, of: str, fingerprint: str, level: str) -> None:
        """Raises UserError."""
        raise UserError(_NO_KEYS)

    async def close(self) -> None:
        """Nothing runs."""
