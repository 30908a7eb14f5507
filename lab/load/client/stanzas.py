"""What the engine puts on the wire, as byte templates, and the mark in each message's id.

A mark says all that is needed to judge a delivery: who wrote (which also names the worker), to whom, the how
manieth between the two, when the message was due and when it was really handed over. Servers carry ids
unchanged between them and through rooms (XEP-0045 section 7.4 asks for it), so that delay, loss, duplicates and
order come from the id alone, whichever process receives it. Times are CLOCK_MONOTONIC (clock_gettime(2)), which all
processes of one machine share.
"""

from __future__ import annotations

from base64 import b64encode
from binascii import hexlify
from struct import Struct
from struct import error as struct_error
from xml.sax.saxutils import escape

_LAYOUT = Struct(">BIIIQQ")
#: Characters of a mark; ids of any other length are somebody else's.
MARK_LENGTH = 2 * _LAYOUT.size

# Flags of a mark.
WARMUP = 1  # due before the steady state: delivered, not judged
ROOM = 2  # the target is a room's number, not a user's
ANSWER = 4  # closed model: the receiver's word to a sender of another worker that the message came
PRESENCES = 8  # a presence, for everybody who is subscribed to the sender; the target is the sender

STREAMS = "http://etherx.jabber.org/streams"
MANAGEMENT = "urn:xmpp:sm:3"  # XEP-0198
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
UPLOAD = "urn:xmpp:http:upload:0"  # XEP-0363

STARTTLS = f"<starttls xmlns='{TLS}'/>".encode()
PRESENCE = b"<presence/>"
PING_ID = "word"
#: To the user's own server (XEP-0199 section 4.2): any answer says that it has what was written before.
PING = f"<iq type='get' id='{PING_ID}'><ping xmlns='urn:xmpp:ping'/></iq>".encode()
UNAVAILABLE = b"<presence type='unavailable'/>"
CLOSE = b"</stream:stream>"
ENABLE = f"<enable xmlns='{MANAGEMENT}' resume='true'/>".encode()
REQUEST = f"<r xmlns='{MANAGEMENT}'/>".encode()

#: Resource of every user: a login anew takes the place of the old one (RFC 6120 section 7.7.2.2).
RESOURCE = "load"


#: A mark's fields: flags, sender, target, sequence, intended, actual (ns of CLOCK_MONOTONIC). A plain tuple: one per
#: message.
Fields = tuple[int, int, int, int, int, int]

_packed = _LAYOUT.pack
_unpacked = _LAYOUT.unpack


def mark(flags: int, sender: int, target: int, sequence: int, intended: int, actual: int) -> bytes:
    """An id: due at `intended`, handed over at `actual`, both in ns of CLOCK_MONOTONIC."""
    return hexlify(_packed(flags, sender, target, sequence, intended, actual))


def read_mark(text: str) -> Fields | None:
    """The fields, None if the id is not the engine's."""
    if len(text) != MARK_LENGTH:
        return None
    try:
        fields: Fields = _unpacked(bytes.fromhex(text))
    except (ValueError, struct_error):
        return None
    return fields


def as_answer(fields: Fields) -> bytes:
    """The id by which a receiver tells a sender of another worker that its message came."""
    return hexlify(_packed(fields[0] | ANSWER, *fields[1:]))


def header(domain: str) -> bytes:
    """The opening of a stream to a domain (RFC 6120 section 4.7)."""
    to = quoted(domain)
    return f"<?xml version='1.0'?><stream:stream to={to} version='1.0' xmlns='jabber:client' xmlns:stream='{STREAMS}'>".encode()  # noqa: E501


def auth(mechanism: str, initial: bytes) -> bytes:
    """The first step of SASL."""
    return f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{b64encode(initial).decode()}</auth>".encode()


def response(data: bytes) -> bytes:
    """A later step of SASL."""
    return f"<response xmlns='{SASL}'>{b64encode(data).decode()}</response>".encode()


def bind(resource: str) -> bytes:
    """The request for a resource."""
    return f"<iq type='set' id='bind'><bind xmlns='{BIND}'><resource>{escape(resource)}</resource></bind></iq>".encode()


def resume(previous: str, handled: int) -> bytes:
    """The request to go on with an earlier stream (XEP-0198 section 5)."""
    return f"<resume xmlns='{MANAGEMENT}' previd={quoted(previous)} h='{handled}'/>".encode()


def answer(handled: int) -> bytes:
    """How many stanzas have come (XEP-0198 section 4)."""
    return b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % handled


def message_to(jid: str, kind: str = "chat") -> bytes:
    """The part of a message before its id."""
    return f"<message to={quoted(jid)} type='{kind}' id='".encode()


def message_rest(size: int) -> bytes:
    """The part of a message after its id: a body of `size` bytes that says nothing."""
    return b"'><body>" + b"x" * size + b"</body></message>" if size else b"'><body/></message>"


def presence(identity: bytes, away: bool = False) -> bytes:
    """Presence with an id, to all who are subscribed and to the user's own resource (RFC 6121 section 4.4.2)."""
    return b"<presence id='%b'>%b</presence>" % (identity, b"<show>away</show>" if away else b"")


def join(room: str, nick: str) -> bytes:
    """Entering a room without its history (XEP-0045 section 7.2)."""
    to = quoted(f"{room}/{nick}")
    return (
        f"<presence to={to}><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>".encode()
    )


def roster(identity: bytes) -> bytes:
    """A request for the roster (RFC 6121 section 2.1.3)."""
    return b"<iq type='get' id='" + identity + b"'><query xmlns='jabber:iq:roster'/></iq>"


def roster_name(identity: bytes, jid: str, name: str) -> bytes:
    """A contact gets a name (RFC 6121 section 2.4)."""
    item = f"<item jid={quoted(jid)} name={quoted(name)}/>".encode()
    return b"<iq type='set' id='" + identity + b"'><query xmlns='jabber:iq:roster'>" + item + b"</query></iq>"


def accepted(request: dict[str, str]) -> bytes:
    """The answer to a request that is granted, such as a roster push."""
    to = f" to={quoted(request['from'])}" if "from" in request else ""
    return f"<iq type='result' id={quoted(request.get('id', ''))}{to}/>".encode()


def archive(identity: bytes, page: int) -> bytes:
    """A request for the newest `page` messages of the user's archive (XEP-0313, XEP-0059 section 2.4)."""
    return (
        b"<iq type='set' id='%b'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>"
        b"<max>%d</max><before/></set></query></iq>" % (identity, page)
    )


def slot(identity: bytes, service: str, name: str, size: int) -> bytes:
    """A request for a place to upload to (XEP-0363 section 5)."""
    return (
        f"<iq type='get' to={quoted(service)} id='{identity.decode()}'><request xmlns='{UPLOAD}' "
        f"filename={quoted(name)} size='{size}' content-type='application/octet-stream'/></iq>"
    ).encode()


def quoted(text: str) -> str:
    """An attribute's value with its quotes."""
    return "'" + escape(text, {"'": "&apos;"}) + "'"


def refusal(request: dict[str, str]) -> bytes:
    """The answer to a server's own request: not served here (RFC 6120 section 8.4 asks for an answer)."""
    to = f" to={quoted(request['from'])}" if "from" in request else ""
    return (
        f"<iq type='error' id={quoted(request.get('id', ''))}{to}><error type='cancel'>"
        "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    ).encode()


def accept_room(room: str) -> bytes:
    """The owner takes a new room's settings as they are, which opens it (XEP-0045 section 10.1.2)."""
    return (
        f"<iq type='set' to={quoted(room)} id='accept'><query xmlns='http://jabber.org/protocol/muc#owner'>"
        "<x xmlns='jabber:x:data' type='submit'/></query></iq>"
    ).encode()
