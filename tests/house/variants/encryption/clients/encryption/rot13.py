"""ROT13."""

from __future__ import annotations

import codecs
from typing import Any
from xml.etree import ElementTree as ET

from lab.declarations.encryptions.rot13 import DECLARATION

from lab.clients.encryption import DecryptedMessage, SealedMessage
from lab.clients.encryption.plain import PlainStrategy
from lab.clients.xmpp.stanzas import CLIENT


class Rot13Strategy(PlainStrategy):
    """Turns letters."""

    name = "rot13"

    async def seal(self, message: ET.Element, people: frozenset[str]) -> SealedMessage:
        """Put the body, turned, in its place."""
        body = message.find(f"{{{CLIENT}}}body")
        message.remove(body)
        ET.SubElement(message, DECLARATION.element).text = codecs.encode(body.text, "rot13")
        return SealedMessage([message], [])

    async def decrypt(self, incoming: Any, sender: str) -> DecryptedMessage | None:
        """Turn it back."""
        return DecryptedMessage(codecs.decode(incoming.xml.findtext(DECLARATION.element), "rot13"), "", "blind")


STRATEGY = Rot13Strategy
