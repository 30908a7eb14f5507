"""The stanzas and other XML that the load engine writes, as byte templates."""

from __future__ import annotations

from base64 import b64encode
from xml.sax.saxutils import escape

STREAMS = "http://etherx.jabber.org/streams"
STREAM_MANAGEMENT = "urn:xmpp:sm:3"  # XEP-0198
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
UPLOAD = "urn:xmpp:http:upload:0"  # XEP-0363

STARTTLS = f"<starttls xmlns='{TLS}'/>".encode()
AVAILABLE = b"<presence/>"
PING_ID = "ping"
#: To the user's own server (XEP-0199 section 4.2): any reply means that it has processed what was written before.
PING = f"<iq type='get' id='{PING_ID}'><ping xmlns='urn:xmpp:ping'/></iq>".encode()
UNAVAILABLE = b"<presence type='unavailable'/>"
STREAM_END = b"</stream:stream>"
ENABLE = f"<enable xmlns='{STREAM_MANAGEMENT}' resume='true'/>".encode()
ACK_REQUEST = f"<r xmlns='{STREAM_MANAGEMENT}'/>".encode()

#: Resource of every user: a new login replaces the old session (RFC 6120 section 7.7.2.2).
RESOURCE = "load"


def build_stream_header(domain: str) -> bytes:
    """The header of a stream to a domain (RFC 6120 section 4.7)."""
    to = quote_attribute(domain)
    return f"<?xml version='1.0'?><stream:stream to={to} version='1.0' xmlns='jabber:client' xmlns:stream='{STREAMS}'>".encode()  # noqa: E501


def build_sasl_auth(mechanism: str, initial: bytes) -> bytes:
    """The first message of SASL (RFC 6120 section 6.4.2)."""
    return f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{b64encode(initial).decode()}</auth>".encode()


def build_sasl_response(data: bytes) -> bytes:
    """A later message of SASL (RFC 6120 section 6.4.4)."""
    return f"<response xmlns='{SASL}'>{b64encode(data).decode()}</response>".encode()


def build_bind_request(resource: str) -> bytes:
    """The request for a resource (RFC 6120 section 7.7)."""
    return f"<iq type='set' id='bind'><bind xmlns='{BIND}'><resource>{escape(resource)}</resource></bind></iq>".encode()


def build_resume_request(previous: str, handled: int) -> bytes:
    """The request to resume an earlier stream (XEP-0198 section 5)."""
    return f"<resume xmlns='{STREAM_MANAGEMENT}' previd={quote_attribute(previous)} h='{handled}'/>".encode()


def build_acknowledgement(handled: int) -> bytes:
    """How many stanzas were received (XEP-0198 section 4)."""
    return b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % handled


def build_message_head(jid: str, kind: str = "chat") -> bytes:
    """The part of a message before its id."""
    return f"<message to={quote_attribute(jid)} type='{kind}' id='".encode()


def build_message_tail(size: int) -> bytes:
    """The part of a message after its id: a body of `size` bytes without a meaning."""
    return b"'><body>" + b"x" * size + b"</body></message>" if size else b"'><body/></message>"


def build_presence(identity: bytes, away: bool = False) -> bytes:
    """Presence with an id, to all subscribers and to the user's own resource (RFC 6121 section 4.4.2)."""
    return b"<presence id='%b'>%b</presence>" % (identity, b"<show>away</show>" if away else b"")


def build_room_join(room: str, nick: str) -> bytes:
    """The presence that enters a room, without its history (XEP-0045 section 7.2)."""
    to = quote_attribute(f"{room}/{nick}")
    return (
        f"<presence to={to}><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>".encode()
    )


def build_roster_request(identity: bytes) -> bytes:
    """A request for the roster (RFC 6121 section 2.1.3)."""
    return b"<iq type='get' id='" + identity + b"'><query xmlns='jabber:iq:roster'/></iq>"


def build_roster_rename(identity: bytes, jid: str, name: str) -> bytes:
    """A roster set that gives a contact a name (RFC 6121 section 2.4)."""
    item = f"<item jid={quote_attribute(jid)} name={quote_attribute(name)}/>".encode()
    return b"<iq type='set' id='" + identity + b"'><query xmlns='jabber:iq:roster'>" + item + b"</query></iq>"


def build_result_reply(request: dict[str, str]) -> bytes:
    """The empty result of a request, such as a roster push (RFC 6121 section 2.1.6)."""
    to = f" to={quote_attribute(request['from'])}" if "from" in request else ""
    return f"<iq type='result' id={quote_attribute(request.get('id', ''))}{to}/>".encode()


def build_archive_request(identity: bytes, page: int) -> bytes:
    """A request for the newest `page` messages of the user's archive (XEP-0313, XEP-0059 section 2.4)."""
    return (
        b"<iq type='set' id='%b'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>"
        b"<max>%d</max><before/></set></query></iq>" % (identity, page)
    )


def build_upload_slot_request(identity: bytes, service: str, name: str, size: int) -> bytes:
    """A request for an upload slot (XEP-0363 section 5)."""
    return (
        f"<iq type='get' to={quote_attribute(service)} id='{identity.decode()}'><request xmlns='{UPLOAD}' "
        f"filename={quote_attribute(name)} size='{size}' content-type='application/octet-stream'/></iq>"
    ).encode()


def quote_attribute(text: str) -> str:
    """The value of an attribute, with its quotes."""
    return "'" + escape(text, {"'": "&apos;"}) + "'"


def build_error_reply(request: dict[str, str]) -> bytes:
    """The reply to a request that we do not support (RFC 6120 section 8.4 asks for a reply)."""
    to = f" to={quote_attribute(request['from'])}" if "from" in request else ""
    return (
        f"<iq type='error' id={quote_attribute(request.get('id', ''))}{to}><error type='cancel'>"
        "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    ).encode()


def build_room_settings(room: str) -> bytes:
    """The owner accepts the settings of a new room, which unlocks it (XEP-0045 section 10.1.2)."""
    return (
        f"<iq type='set' to={quote_attribute(room)} id='accept'><query xmlns='http://jabber.org/protocol/muc#owner'>"
        "<x xmlns='jabber:x:data' type='submit'/></query></iq>"
    ).encode()
