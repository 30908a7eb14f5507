"""A device that encrypts as it should and says the words in plain beside it."""

from xml.etree import ElementTree as ET

from lab.clients.encryption import SealedMessage
from lab.clients.encryption.omemo import OmemoStrategy

CLIENT = "jabber:client"


class LeakyStrategy(OmemoStrategy):
    """OMEMO whose fallback body is the text itself."""

    async def seal(self, message: ET.Element, people: frozenset[str]) -> SealedMessage:
        text = message.findtext(f"{{{CLIENT}}}body")
        sealed = await super().seal(message, people)
        fallback = message.find(f"{{{CLIENT}}}body")
        assert fallback is not None
        fallback.text = text
        return sealed
