"""The envelope in which the content of a message is encrypted (XEP-0420), with the affix elements that OMEMO 2 wants.

Content is all that is for the receiver alone: the body, and receipts, markers, chat states, corrections. What servers
act on stays outside.

XEP-0384 section 5.5: there is always padding, and in a room always `to`; `from`, `time` and `to` otherwise are the
sender's choice, and are believed only if they agree with the stanza that carried them. So a server cannot show a
message as somebody else's, as written to somebody else, or as written in a room or in private. Errors never quote
what is in an envelope.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from xml.etree import ElementTree as ET

from slixmpp import JID, InvalidJID
from slixmpp.xmlstream import tostring

from lab.clients.xmpp.stanzas import CARBONS, CLIENT, DELAY, EME, Incoming
from lab.errors import PeerError

NAMESPACE = "urn:xmpp:sce:1"

#: Characters of padding: at random, so that the size of a message does not give away that of its text (section 4).
MOST_PADDING = 200

#: How much later than it was received a message may say to be written: clocks differ. How much earlier is not judged,
#: as a message may have waited for a link or for its receiver.
AHEAD = timedelta(minutes=5)


#: Namespaces of what servers act on: ids, hints, the name of the encryption, whether copies are made, addresses.
OUTSIDE = ("urn:xmpp:sid:0", "urn:xmpp:hints", EME, CARBONS, "http://jabber.org/protocol/address")


def find_content(message: ET.Element) -> list[ET.Element]:
    """The children of a message that belong into an envelope."""
    return [child for child in message if child.tag.partition("}")[0].lstrip("{") not in OUTSIDE]


def write(content: Sequence[ET.Element], sender: str, receiver: str) -> bytes:
    """An envelope with this content. `sender` and `receiver` are JIDs; only their bare form is written."""
    root = ET.Element(f"{{{NAMESPACE}}}envelope")
    ET.SubElement(root, f"{{{NAMESPACE}}}content").extend(content)
    length = secrets.randbelow(MOST_PADDING + 1)
    ET.SubElement(root, f"{{{NAMESPACE}}}rpad").text = secrets.token_urlsafe(length)[:length]
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ET.SubElement(root, f"{{{NAMESPACE}}}time", {"stamp": stamp})
    ET.SubElement(root, f"{{{NAMESPACE}}}to", {"jid": _bare(receiver)})
    ET.SubElement(root, f"{{{NAMESPACE}}}from", {"jid": _bare(sender)})
    return tostring(root).encode()  # as stanzas are written: not every client reads prefixes of namespaces


def read(plaintext: bytes, incoming: Incoming, sender: str) -> list[ET.Element]:
    """The content of an envelope. `sender` is the real bare JID of who sent the stanza.

    Raises PeerError for what is no envelope, and where an affix element does not agree with the stanza.
    """
    root = _parse(plaintext)
    if root.find(f"{{{NAMESPACE}}}rpad") is None:
        raise PeerError("its envelope has no padding (XEP-0384 section 5.5)")
    _check_jid(root, "from", sender)
    _check_jid(root, "to", incoming.room or incoming.receiver, required=incoming.room is not None)
    _check_time(root, incoming.xml)
    return _read_content(root)


def find_body(plaintext: bytes) -> str | None:
    """The body in an envelope, None if it has none. Affix elements are not looked at. Raises PeerError."""
    return read_text(_read_content(_parse(plaintext)))


def read_text(content: Sequence[ET.Element]) -> str | None:
    """The text of the body in a content, None if it has none."""
    return next((one.text or "" for one in content if one.tag == f"{{{CLIENT}}}body"), None)


def _read_content(root: ET.Element) -> list[ET.Element]:
    content = root.find(f"{{{NAMESPACE}}}content")
    if content is None:
        raise PeerError("its envelope has no content (XEP-0420)")
    return list(content)


def _parse(plaintext: bytes) -> ET.Element:
    try:
        text = plaintext.decode("utf-8")  # the only encoding (RFC 6120 section 11.6)
        if "<!DOCTYPE" in text:  # RFC 6120 section 11.1; entities may grow without bounds
            raise PeerError("its envelope declares a document type")
        root = ET.fromstring(text)  # noqa: S314 - without a document type there are no entities
    except (ET.ParseError, ValueError):
        raise PeerError("what was encrypted is no XML (XEP-0420)") from None  # the error might quote it
    if root.tag != f"{{{NAMESPACE}}}envelope":
        raise PeerError("what was encrypted is no envelope (XEP-0420)")
    return root


def _check_jid(root: ET.Element, name: str, expected: str, *, required: bool = False) -> None:
    affix = root.find(f"{{{NAMESPACE}}}{name}")
    if affix is None:
        if required:
            raise PeerError(f"its envelope does not say {name}, which it must in a room (XEP-0384 section 5.5)")
        return
    if _bare(affix.get("jid", "")) != _bare(expected):
        raise PeerError(f"the {name!r} of its envelope is not that of its stanza, which was changed on the way")


def _check_time(root: ET.Element, stanza: ET.Element) -> None:
    """That it was not written after it was received: now, or when a server stamped it (XEP-0203)."""
    affix = root.find(f"{{{NAMESPACE}}}time")
    if affix is None:
        return
    written = _parse_time(affix.get("stamp", ""))
    if written is None:
        raise PeerError("the time of its envelope is no date and time (XEP-0082)")
    stamps = [_parse_time(delay.get("stamp", "")) for delay in stanza.findall(f"{{{DELAY}}}delay")]
    received = min([datetime.now(UTC), *(stamp for stamp in stamps if stamp is not None)])
    if written > received + AHEAD:
        raise PeerError("the time of its envelope is later than that of its stanza")


def _parse_time(stamp: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


@lru_cache(maxsize=1000)
def _bare(jid: str) -> str:
    """The bare JID as servers write it, "" for none."""
    try:
        return str(JID(jid).bare)
    except InvalidJID:
        return ""
