"""A device that encrypts as it should and says the words in plain beside it."""

from xml.etree import ElementTree as ET

from lab.clients.encryption.omemo import OmemoStrategy

CLIENT = "jabber:client"


class LeakyStrategy(OmemoStrategy):
    """OMEMO whose fallback body is the text itself."""

    async def encrypt(self, body: str, message: ET.Element, people: frozenset[str]) -> list[str]:
        missed = await super().encrypt(body, message, people)
        fallback = message.find(f"{{{CLIENT}}}body")
        assert fallback is not None
        fallback.text = body
        return missed
