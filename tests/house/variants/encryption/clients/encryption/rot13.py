"""ROT13."""

from __future__ import annotations

import codecs
from typing import Any
from xml.etree import ElementTree as ET

from lab.declarations.encryptions.rot13 import DECLARATION

from lab.clients.encryption import DecryptedMessage
from lab.clients.encryption.plain import PlainStrategy


class Rot13Strategy(PlainStrategy):
    """Turns letters."""

    name = "rot13"

    async def encrypt(self, body: str, message: ET.Element, people: frozenset[str]) -> list[str]:
        """Put the body, turned, into the message."""
        ET.SubElement(message, DECLARATION.element).text = codecs.encode(body, "rot13")
        return []

    async def decrypt(self, incoming: Any, sender: str) -> DecryptedMessage | None:
        """Turn it back."""
        return DecryptedMessage(codecs.decode(incoming.xml.findtext(DECLARATION.element), "rot13"), "", "blind")


STRATEGY = Rot13Strategy
