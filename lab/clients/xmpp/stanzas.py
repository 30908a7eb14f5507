"""What an incoming message is: a pure function of its XML and of the stream on which it was received.

A delivery is a message with a readable body or an encrypted payload. Everything else that travels as <message/>
(receipts, chat states, PEP notices, invitations, room subjects, OMEMO's empty messages, OTR's key exchange) is the
protocols' own business and gives no event.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from lab.declarations.encryptions import find_by_namespace, find_in_message, split_offer
from lab.errors import UserError

CLIENT = "jabber:client"
CARBONS = "urn:xmpp:carbons:2"
FORWARD = "urn:xmpp:forward:0"
DELAY = "urn:xmpp:delay"
MAM = "urn:xmpp:mam:2"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
EME = "urn:xmpp:eme:0"

_BODY = f"{{{CLIENT}}}body"
_DELAY = f"{{{DELAY}}}delay"


@dataclass(frozen=True)
class Incoming:
    """A message that a device got. `xml` is the message itself, also where another one carried it."""

    id: str
    sender: str
    receiver: str
    via: str  # "live", "offline", "archive", "carbon"
    body: str | None
    encrypted: str | None
    room: str | None
    xml: ET.Element
    keys_only: bool = False  # of the encryption's own protocol, such as OMEMO's empty messages: no delivery
    offer: str = ""  # the encryption that its sender offers in a text in the clear; `body` is without the offer


@dataclass(frozen=True)
class BounceStanza:
    """A message that was returned as an error (RFC 6120 section 8.3)."""

    id: str
    by: str
    condition: str
    type: str
    text: str


@dataclass(frozen=True)
class Forgery:
    """A message that only the account itself may send, from somebody else (XEP-0280 section 11, CVE-2017-5589)."""

    reason: str


@dataclass(frozen=True)
class Archived:
    """One message of an archive's answer (XEP-0313 section 4.2)."""

    query: str
    at: str  # XEP-0082 date and time
    sender: str  # of the outer message: the archive
    xml: ET.Element


@dataclass(frozen=True)
class OwnPresence:
    """What a device says of its own availability (RFC 6121 section 4.7)."""

    available: bool
    priority: int = 0
    show: str = ""


#: Values of <show/> (RFC 6121 section 4.7.2.1).
SHOWS = ("away", "chat", "dnd", "xa")
UNAVAILABLE = "unavailable"


def build_presence(show: str | None, priority: int) -> ET.Element:
    """The presence that says so; `show` may be "unavailable". Raises UserError for what RFC 6121 does not know."""
    if show is not None and show not in (*SHOWS, UNAVAILABLE):
        raise UserError(f"show must be one of {', '.join((*SHOWS, UNAVAILABLE))}, or None, not {show!r}")
    if not -128 <= priority <= 127:
        raise UserError(f"priority must be from -128 to 127 (RFC 6121 section 4.7.2.3), not {priority}")
    if show == UNAVAILABLE:
        return ET.Element(f"{{{CLIENT}}}presence", {"type": UNAVAILABLE})
    presence = ET.Element(f"{{{CLIENT}}}presence")
    if show:
        ET.SubElement(presence, f"{{{CLIENT}}}show").text = show
    ET.SubElement(presence, f"{{{CLIENT}}}priority").text = str(priority)
    return presence


def read_own_presence(xml: ET.Element) -> OwnPresence | None:
    """What a sent stanza says of its sender's availability; None if nothing, such as a presence for a room."""
    if xml.tag != f"{{{CLIENT}}}presence" or xml.get("to") or xml.get("type") not in (None, UNAVAILABLE):
        return None
    if xml.get("type") == UNAVAILABLE:
        return OwnPresence(False)
    text = (xml.findtext(f"{{{CLIENT}}}priority") or "0").strip()
    priority = int(text) if text.lstrip("+-").isdecimal() else 0
    return OwnPresence(True, priority, (xml.findtext(f"{{{CLIENT}}}show") or "").strip())


def read(xml: ET.Element, account: str, device: str) -> Incoming | BounceStanza | Forgery | Archived | None:
    """What this <message/> is for the stream of `device` (full JID) of `account` (bare JID); None: no delivery."""
    if (result := xml.find(f"{{{MAM}}}result")) is not None:
        return _archived(xml, result)
    for direction in ("sent", "received"):
        if (carbon := xml.find(f"{{{CARBONS}}}{direction}")) is not None:
            return _carbon(xml, carbon, account, device)  # Prosody gives it the type of what it carries
    if xml.get("type") == "error":
        return _bounce(xml)
    return read_delivery(xml, _via(xml, account), device)


def read_delivery(xml: ET.Element, via: str, device: str) -> Incoming | None:
    """The delivery that this message is, if it is one; `device` is the receiver where the stanza names none.

    An error is none: a copy of one tells of another device's message that was returned to it.
    """
    if xml.get("type") == "error":
        return None
    sender = xml.get("from", "")
    body = xml.findtext(_BODY)
    encrypted = _encryption(xml)
    declared = find_by_namespace(encrypted)
    keys_only = declared is not None and not declared.has_text(xml, body)
    if body is None and encrypted is None:
        return None
    room = sender.partition("/")[0] if xml.get("type") == "groupchat" else None
    text, offer = (body, "") if body is None or encrypted else split_offer(body)
    return Incoming(xml.get("id", ""), sender, xml.get("to", device), via, text, encrypted, room, xml, keys_only, offer)


def _via(xml: ET.Element, account: str) -> str:
    """Live; offline if the own server stamped a delay (XEP-0203); a room's replayed history is its archive."""
    delays = [delay.get("from", "").partition("/")[0] for delay in xml.findall(_DELAY)]
    if xml.get("type") == "groupchat":
        return "archive" if delays else "live"
    own = {"", account, account.partition("@")[2]}
    return "offline" if any(stamp in own for stamp in delays) else "live"


def _carbon(xml: ET.Element, carbon: ET.Element, account: str, device: str) -> Incoming | Forgery | None:
    sender = xml.get("from", account)
    if sender != account:
        return Forgery(f"a carbon copy from {sender}: only {account} itself may send one (XEP-0280 section 11)")
    inner = carbon.find(f"{{{FORWARD}}}forwarded/{{{CLIENT}}}message")
    return None if inner is None else read_delivery(inner, "carbon", device)


def _archived(xml: ET.Element, result: ET.Element) -> Archived | None:
    forwarded = result.find(f"{{{FORWARD}}}forwarded")
    inner = None if forwarded is None else forwarded.find(f"{{{CLIENT}}}message")
    if forwarded is None or inner is None:
        return None
    delay = forwarded.find(_DELAY)
    stamp = "" if delay is None else delay.get("stamp", "")
    return Archived(result.get("queryid", ""), stamp, xml.get("from", ""), inner)


def _bounce(xml: ET.Element) -> BounceStanza:
    condition, kind, text = read_error(xml)
    return BounceStanza(xml.get("id", ""), xml.get("from", ""), condition, kind, text)


def read_error(xml: ET.Element) -> tuple[str, str, str]:
    """Condition, type and text of a stanza's <error/>; "undefined-condition" where it names none."""
    error = xml.find(f"{{{CLIENT}}}error")
    if error is None:
        return "undefined-condition", "", ""
    names = [child.tag.partition("}")[2] for child in error if child.tag.startswith(f"{{{STANZAS}}}")]
    condition = next((name for name in names if name != "text"), "undefined-condition")
    return condition, error.get("type", ""), error.findtext(f"{{{STANZAS}}}text") or ""


def _encryption(xml: ET.Element) -> str | None:
    if declared := find_in_message((child.tag for child in xml), xml.findtext(_BODY)):
        return declared.namespace
    named = xml.find(f"{{{EME}}}encryption")
    return None if named is None else named.get("namespace")
