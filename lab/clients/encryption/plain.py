"""No encryption: the message travels as it is, for every server on the way to read; what is encrypted is not read."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from lab.clients.encryption import Encryption, SealedMessage


class PlainStrategy(Encryption):
    """Sends messages as they are, and decrypts nothing."""

    name = "plain"

    async def seal(self, message: ET.Element, people: frozenset[str]) -> SealedMessage:
        """The message as it is."""
        return SealedMessage([message], [])


STRATEGY = PlainStrategy
