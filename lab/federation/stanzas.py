"""Raw stanzas, and the events of the history that they are recorded as. Pure.

Names are in the namespace of the stream, `jabber:server` or `jabber:client` (RFC 6120 section 4.8.3), which a stanza's
own XML leaves out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from xml.etree import ElementTree as ET
from xml.sax.saxutils import quoteattr

from lab.clients.xmpp.parser import PromptParser
from lab.clients.xmpp.server_stream import format_element
from lab.declarations.encryptions import find_in_message
from lab.history.events import Bounced, DeviceSaw, Sent, ServerSaw

SERVER = "jabber:server"
CLIENT = "jabber:client"
NAMES = ("message", "presence", "iq")
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


@dataclass(frozen=True)
class Stanza:
    """A stanza that a device or a scripted peer received, or sent (RFC 6120 section 8)."""

    name: str  # "message", "presence", "iq"
    type: str | None
    id: str | None
    sender: str | None
    receiver: str | None
    xml: str
    at: float  # seconds since the epoch
    namespace: str = SERVER  # of the stream: jabber:server, or jabber:client on a device's
    direction: str = "in"  # "in": it was received; "out": sent
    decrypted: bool = False  # what an encryption had hidden beside the text of a received message (XEP-0420)

    @property
    def element(self) -> ET.Element:
        """The stanza, its names in the namespace of its stream."""
        return _parsed(self.xml, self.namespace)

    @property
    def body(self) -> str | None:
        """The text of a message, None without one."""
        return self.element.findtext(f"{{{self.namespace}}}body")

    @property
    def condition(self) -> str | None:
        """The condition of a stanza of type error (RFC 6120 section 8.3.3), None of any other stanza."""
        if self.type != "error":
            return None
        error = self.element.find(f"{{{self.namespace}}}error")
        names = [] if error is None else [one.tag.rpartition("}")[2] for one in error]
        return next((one for one in names if one != "text"), "undefined-condition")

    def error(self, condition: str, kind: str = "cancel") -> str:
        """The XML that answers it with a stanza error of this condition and type (RFC 6120 section 8.3)."""
        attributes = {"type": "error", "id": self.id, "from": self.receiver, "to": self.sender}
        given = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items() if value)
        return (
            f"<{self.name}{given}><error type={quoteattr(kind)}><{condition} xmlns='{STANZAS}'/></error></{self.name}>"
        )


def parse(xml: str, at: float, namespace: str = SERVER, direction: str = "in") -> Stanza:
    """The stanza of a text. Raises ParseError, or ValueError if there is not exactly one."""
    return replace(_stanza(_parsed(xml, namespace), xml, at, namespace), direction=direction)


def parse_all(xml: str, at: float, namespace: str) -> list[Stanza]:
    """The stanzas that a text consists of; none if it is anything else, or anything more."""
    try:
        root = _root(xml, namespace)
    except ET.ParseError:
        return []
    known = {f"{{{namespace}}}{name}" for name in NAMES}
    between = [root.text, *(child.tail for child in root)]
    if any(child.tag not in known for child in root) or any(text and text.strip() for text in between):
        return []
    return [_stanza(child, xml if len(root) == 1 else "", at, namespace) for child in root]


class RawText:
    """Text that is written on one stream, in whatever pieces."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._unfinished = ""

    def add(self, text: str, at: float) -> list[Stanza]:
        """The stanzas that a further piece completes, with the pieces before it; none where it is anything else."""
        written = self._unfinished + text
        found = parse_all(written, at, self._namespace)
        self._unfinished = "" if found or not self._may_go_on(written) else written
        return found

    def _may_go_on(self, text: str) -> bool:
        """Whether this is the beginning of a stanza."""
        parser = PromptParser()
        try:
            parser.feed(f"<x xmlns='{self._namespace}'>{text}")
            depth = sum(1 if kind == "start" else -1 for kind, _ in parser.read_events())
        except ET.ParseError:
            return False
        return text.lstrip().startswith("<") and (depth > 1 or text.rfind("<") > text.rfind(">"))


def _stanza(element: ET.Element, xml: str, at: float, namespace: str) -> Stanza:
    return Stanza(
        name=element.tag.rpartition("}")[2],
        type=element.get("type"),
        id=element.get("id"),
        sender=element.get("from"),
        receiver=element.get("to"),
        xml=xml or format_element(element, namespace),
        at=at,
        namespace=namespace,
    )


def build_seen_event(stanza: Stanza, server: str, direction: str, *, whole: bool, peer: str = "") -> ServerSaw:
    """The event that `server` handled it on a stream with the domain `peer`; `whole` records its XML as well."""
    element = stanza.element
    shown = find_in_message((one.tag for one in element), stanza.body if stanza.name == "message" else None)
    return ServerSaw(
        at=stanza.at, server=server, direction=direction, stream="s2s", name=stanza.name, type=stanza.type,
        id=stanza.id, sender=stanza.sender, receiver=stanza.receiver, size=len(stanza.xml.encode()),
        encryption=shown.namespace if shown else None, body=shown is None and stanza.body is not None,
        stanza=stanza.xml if whole else None, peer=peer,
    )  # fmt: skip


def build_device_event(stanza: Stanza, device: str, stream: str) -> DeviceSaw:
    """The event that a device (a full JID) received or sent it on its stream."""
    return DeviceSaw(
        at=stanza.at, device=device, stream=stream, direction=stanza.direction, name=stanza.name, type=stanza.type,
        id=stanza.id, sender=stanza.sender, receiver=stanza.receiver, stanza=stanza.xml,
    )  # fmt: skip


def build_sent_event(
    stanza: Stanza, sender: str, stream: str, canary_in: Callable[[str], str | None], expected: tuple[str, ...] = ()
) -> Sent | None:
    """The event that `sender`, a device or a server, sent a message with a body. None for all else: nothing judges it.

    A server speaks for everybody of its domain. What else stands in `from` is what it claims: its stream proves who it
    is (RFC 6120 section 8.1.2).
    """
    body = stanza.body
    if stanza.name != "message" or stanza.type == "error" or body is None:
        return None
    named = stanza.sender or sender
    domain = named.partition("/")[0].rpartition("@")[2]
    own = named == sender if "@" in sender else domain == sender or domain.endswith(f".{sender}")
    return Sent(
        at=stanza.at, message=stanza.id or "", sender=named if own else sender, receiver=stanza.receiver or "",
        stream=stream, encryption="plain", room=stanza.type == "groupchat", canary=canary_in(body), expected=expected,
        claimed="" if own else named,
    )  # fmt: skip


def build_bounced_event(stanza: Stanza) -> Bounced:
    """The event of a message of type error."""
    error = stanza.element.find(f"{{{stanza.namespace}}}error")
    return Bounced(
        at=stanza.at,
        message=stanza.id or "",
        device=stanza.receiver or "",
        condition=stanza.condition or "undefined-condition",
        by=stanza.sender or "",
        error_type="" if error is None else error.get("type", ""),
    )


def _parsed(xml: str, namespace: str) -> ET.Element:
    (element,) = _root(xml, namespace)
    return element


def _root(xml: str, namespace: str) -> ET.Element:
    return ET.fromstring(f"<x xmlns='{namespace}'>{xml}</x>")  # noqa: S314 - of a lab's own server or script
