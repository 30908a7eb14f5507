"""A device that encrypts as it should and says the words in plain beside it."""

from xml.etree import ElementTree as ET

from lab.clients.encryption import SealedMessage
from lab.clients.encryption.omemo import OmemoStrategy
from lab.clients.encryption.omemo_2 import Omemo2
from lab.clients.encryption.otr import OtrStrategy

CLIENT = "jabber:client"


class LeakyStrategy(OmemoStrategy):
    """OMEMO whose fallback body is the text itself."""

    async def seal(self, message: ET.Element, people: frozenset[str]) -> SealedMessage:
        text = message.findtext(f"{{{CLIENT}}}body")
        sealed = await super().seal(message, people)
        fallback = message.find(f"{{{CLIENT}}}body")
        if fallback is None:  # OMEMO 2 has none
            fallback = ET.SubElement(message, f"{{{CLIENT}}}body")
        fallback.text = text
        return sealed


class LeakyOmemo2Strategy(LeakyStrategy):
    """OMEMO 2 with the text as a body beside the envelope."""

    name = "omemo:2"
    speaks = (Omemo2,)


class LeakyOtrStrategy(OtrStrategy):
    """OTR with the text in an element beside the ciphertext."""

    async def seal(self, message: ET.Element, people: frozenset[str]) -> SealedMessage:
        text = message.findtext(f"{{{CLIENT}}}body")
        sealed = await super().seal(message, people)
        ET.SubElement(message, "{urn:example:leak}words").text = text
        return sealed
