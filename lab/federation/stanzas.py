"""Raw stanzas between servers, and the events of the history that they are recorded as. Pure.

Names are in the namespace `jabber:server` (RFC 6120 section 4.8.3), which a stanza's own XML leaves out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from lab.declarations.encryptions import by_element
from lab.history.events import Bounced, Sent, ServerSaw

SERVER = "jabber:server"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


@dataclass(frozen=True)
class Stanza:
    """A stanza that a scripted peer received, or sends (RFC 6120 section 8)."""

    name: str  # "message", "presence", "iq"
    type: str | None
    id: str | None
    sender: str | None
    receiver: str | None
    xml: str
    at: float  # seconds since the epoch

    @property
    def element(self) -> ET.Element:
        """The stanza, its names in the namespace jabber:server."""
        return _parsed(self.xml)

    @property
    def body(self) -> str | None:
        """The text of a message, None without one."""
        return self.element.findtext(f"{{{SERVER}}}body")

    def error(self, condition: str, kind: str = "cancel") -> str:
        """The XML that answers it with a stanza error of this condition and type (RFC 6120 section 8.3)."""
        attributes = {"type": "error", "id": self.id, "from": self.receiver, "to": self.sender}
        given = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items() if value)
        return (
            f"<{self.name}{given}><error type={quoteattr(kind)}><{condition} xmlns='{STANZAS}'/></error></{self.name}>"
        )


def parse(xml: str, at: float) -> Stanza:
    """The stanza of a text. Raises ParseError, or ValueError if there is not exactly one."""
    element = _parsed(xml)
    return Stanza(
        name=element.tag.rpartition("}")[2],
        type=element.get("type"),
        id=element.get("id"),
        sender=element.get("from"),
        receiver=element.get("to"),
        xml=xml,
        at=at,
    )


def seen_event(stanza: Stanza, server: str, direction: str, *, whole: bool) -> ServerSaw:
    """The event that `server` handled it; `whole` records its XML as well."""
    element = stanza.element
    encrypted = (
        one.tag[1:].partition("}")[0] for one in element if by_element(one.tag) or one.tag.endswith("}encrypted")
    )
    return ServerSaw(
        at=stanza.at, server=server, direction=direction, stream="s2s", name=stanza.name, type=stanza.type,
        id=stanza.id, sender=stanza.sender, receiver=stanza.receiver, size=len(stanza.xml.encode()),
        encryption=next(encrypted, None), body=stanza.body is not None, stanza=stanza.xml if whole else None,
    )  # fmt: skip


def sent_event(stanza: Stanza, stream: str, canary_in: Callable[[str], str | None]) -> Sent | None:
    """The event of a message with a body and an id: what becomes of it can be judged. None for all else."""
    body = stanza.body
    if stanza.name != "message" or stanza.type == "error" or not stanza.id or body is None:
        return None
    return Sent(
        at=stanza.at, message=stanza.id, sender=stanza.sender or "", receiver=stanza.receiver or "", stream=stream,
        encryption="plain", canary=canary_in(body),
    )  # fmt: skip


def bounced_event(stanza: Stanza) -> Bounced:
    """The event of a message of type error."""
    error = stanza.element.find(f"{{{SERVER}}}error")
    names = [] if error is None else [one.tag.rpartition("}")[2] for one in error]
    return Bounced(
        at=stanza.at,
        message=stanza.id or "",
        device=stanza.receiver or "",
        condition=next((one for one in names if one != "text"), "undefined-condition"),
        by=stanza.sender or "",
        error_type="" if error is None else error.get("type", ""),
    )


def _parsed(xml: str) -> ET.Element:
    (element,) = ET.fromstring(f"<x xmlns='{SERVER}'>{xml}</x>")  # noqa: S314 - of a lab's own server or script
    return element
