"""What is the same around every message of OMEMO, whoever encrypts it: hints for servers, and what a refusal means."""

from __future__ import annotations

import uuid
from typing import Any
from xml.etree import ElementTree as ET

from slixmpp.stanza import Message

from lab.clients.encryption import EncryptionSettings
from lab.clients.xmpp.client_stream import ClientStream, Refused
from lab.clients.xmpp.stanzas import CARBONS, CLIENT, EME
from lab.errors import PeerError

HINTS = "urn:xmpp:hints"
#: The body of a message with OMEMO 0.3 for clients without.
FALLBACK = "This message is encrypted with OMEMO, which your client does not read."

#: What a server says to what it does not offer or allow; anything else is a failure, with optional keys as well.
_POLICY = ("service-unavailable", "feature-not-implemented", "not-allowed", "forbidden", "not-acceptable")


def build_empty(stream: ClientStream, element: ET.Element, to: str) -> Any:
    """A stanza with keys and no message: it completes a session (XEP-0384 0.3 section 4.6)."""
    xml = ET.Element(f"{{{CLIENT}}}message", {"to": to, "type": "chat", "id": uuid.uuid4().hex})
    xml.append(element)
    ET.SubElement(xml, f"{{{HINTS}}}store")
    # Copies would be a second reading of the same keys, which is an error.
    ET.SubElement(xml, f"{{{HINTS}}}no-copy")
    ET.SubElement(xml, f"{{{CARBONS}}}private")
    return Message(stream, xml=xml)  # type: ignore[no-untyped-call]


def name_encryption(message: ET.Element, namespace: str) -> None:
    """Name the encryption (XEP-0380); the sender's and the receivers' archives are to store the message (XEP-0334)."""
    ET.SubElement(message, f"{{{EME}}}encryption", {"namespace": namespace, "name": "OMEMO"})
    if not any(message.find(f"{{{HINTS}}}{hint}") is not None for hint in ("no-store", "no-permanent-store")):
        ET.SubElement(message, f"{{{HINTS}}}store")


def excuse_refusal(error: PeerError, settings: EncryptionSettings, name: str) -> str:
    """Why the own keys are not published, said as trouble too: the server will not have them, and they are optional.

    Raises the error in any other case.
    """
    if not settings.keys_optional or not _is_policy(error):
        raise error
    why = f"the own keys are not published: {error}"
    settings.trouble(f"{name}: {why}")
    return why


def _is_policy(error: BaseException | None) -> bool:
    """Whether a server has refused what it does not offer or allow, and will do so again."""
    while error is not None and not isinstance(error, Refused):
        error = error.__cause__
    return error is not None and error.condition in _POLICY
