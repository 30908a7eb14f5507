"""A server-to-server stream (RFC 6120) without input or output: it takes bytes and returns commands.

    stream = ServerStream("peer.test", remote="home.test", initiator=True)
    for command in stream.begin() + stream.receive(data): ...

The path of a stream is header, STARTTLS (section 5), header, SASL EXTERNAL (section 6, XEP-0178), header, stanzas; the
initiating and the receiving side take these steps in turn. TLS itself is the caller's: on `StartTls` it upgrades the
connection and calls `secured` with the names that the other's certificate proves.

Rules: nothing but STARTTLS before TLS, nothing but EXTERNAL after it, no dialback; a stream carries stanzas one way,
from its initiator (section 4.5; XEP-0288 is not offered). What is against them ends the stream with an error, but for a
stanza against the direction, which is returned like others.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from lab.clients.xmpp.parser import PromptParser

SERVER = "jabber:server"
STREAMS = "http://etherx.jabber.org/streams"
ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"

_STANZAS = frozenset(f"{{{SERVER}}}{name}" for name in ("message", "presence", "iq"))
_XML = "http://www.w3.org/XML/1998/namespace"
_STARTTLS = f"<starttls xmlns='{TLS}'><required/></starttls>"
_EXTERNAL = f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"


@dataclass(frozen=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True)
class StartTls:
    """Upgrade the connection, then call `secured`."""


@dataclass(frozen=True)
class Ready:
    """The stream is authenticated: stanzas may follow, from its initiator."""


@dataclass(frozen=True)
class Received:
    """A stanza was received."""

    element: ET.Element


@dataclass(frozen=True)
class Closed:
    """The stream is over: close the connection once all is written."""

    reason: str
    condition: str = ""  # of the stream error (section 4.9.3), "" without one
    by: str = ""  # who sent the error: "server" (this side) or "peer"


Command = Send | StartTls | Ready | Received | Closed


class ServerStream:
    """One stream, seen from `domain`. `step` says in words how far it is opened."""

    def __init__(self, domain: str, *, remote: str = "", initiator: bool = False) -> None:
        """`remote` is the other domain; who receives a stream learns it from the header."""
        self.domain, self.remote, self.initiator = domain, remote, initiator
        self.id = uuid.uuid4().hex
        self.step = "connected, waiting for the other's header"
        self.ready = False
        self._names: frozenset[str] | None = None  # what the other's certificate proves; None before TLS
        self._authenticated = False
        self._over = False
        self._restart()

    @property
    def authentication(self) -> str:
        """The SASL mechanism by which the initiating side was authenticated, "" before."""
        return "EXTERNAL" if self._authenticated else ""

    def begin(self) -> list[Command]:
        """What the initiating side sends first."""
        return [self._header()]

    def secured(self, names: frozenset[str]) -> list[Command]:
        """TLS is up; `names` are the DNS names in the other's verified certificate, none if it showed none."""
        self._names = names
        self.step = "TLS is up, waiting for the other's header"
        self._restart()
        return [self._header()] if self.initiator else []

    def receive(self, data: bytes) -> list[Command]:
        """Take bytes in."""
        commands: list[Command] = []
        if self._over:
            return commands
        parser = self._parser
        try:
            parser.feed(data)
            for kind, element in parser.read_events():
                commands += self._started(element) if kind == "start" else self._ended(element)
                if self._parser is not parser or self._over:  # what follows belongs to no stream
                    break
        except ET.ParseError as error:
            commands += self._fail("not-well-formed", str(error))
        return commands

    def stop(self, condition: str = "") -> list[Command]:
        """End the stream, with a stream error if one is named."""
        return self._fail(condition, "asked to") if condition else self._close("asked to")

    def _restart(self) -> None:
        self._parser = PromptParser()
        self._depth = 0

    def _started(self, element: ET.Element) -> list[Command]:
        self._depth += 1
        if self._depth > 1:
            return []
        self._root = element
        if element.tag != f"{{{STREAMS}}}stream":
            return self._fail("bad-format", f"{element.tag} is no stream")
        if self.initiator:
            self.step = "waiting for the other's features"
            return []
        return self._greet(element)

    def _greet(self, header: ET.Element) -> list[Command]:
        """Answer a header with ours and the features that follow."""
        self.remote = header.get("from") or self.remote
        if (to := header.get("to", self.domain)) != self.domain and not to.endswith(f".{self.domain}"):
            return [self._header(), *self._fail("host-unknown", f"it asks for {to}")]
        features = "" if self._authenticated else _STARTTLS if self._names is None else ""
        if self._names is not None and self.remote in self._names and not self._authenticated:
            features = _EXTERNAL
        greeting: list[Command] = [self._header(), _send(f"<stream:features>{features}</stream:features>")]
        if not self._authenticated:
            self.step = "waiting for STARTTLS" if self._names is None else "waiting for authentication"
            return greeting
        return [*greeting, *self._open()]

    def _ended(self, element: ET.Element) -> list[Command]:
        self._depth -= 1
        if self._depth == 0:
            return self._close("the other side closed it")
        if self._depth > 1:
            return []
        self._root.remove(element)
        if element.tag == f"{{{STREAMS}}}error":
            conditions = list(_conditions(element))
            return self._close(f"stream error {', '.join(conditions)}", next(iter(conditions), ""), "peer")
        return self._drive(element) if self.initiator else self._serve(element)

    def _drive(self, element: ET.Element) -> list[Command]:
        """The initiating side's next step."""
        if element.tag == f"{{{STREAMS}}}features":
            return self._choose(element)
        if element.tag == f"{{{TLS}}}proceed" and self._names is None:
            self.step = "in the TLS handshake"
            return [StartTls()]
        if element.tag == f"{{{SASL}}}success" and not self._authenticated:
            self._authenticated = True
            self.step = "authenticated, waiting for the other's header"
            self._restart()
            return [self._header()]
        if element.tag in (f"{{{TLS}}}failure", f"{{{SASL}}}failure"):
            return self._close(f"it refuses: {', '.join(_conditions(element))}")
        if self.ready and element.tag in _STANZAS:  # against the direction: some answer there what they cannot read
            return [Received(element)]
        return self._fail("unsupported-stanza-type", f"{element.tag} is against the stream's direction")

    def _choose(self, features: ET.Element) -> list[Command]:
        if self._authenticated:
            return self._open()
        if self._names is None:
            if features.find(f"{{{TLS}}}starttls") is None:
                return self._close("it offers no TLS")
            self.step = "waiting for its TLS"
            return [_send(f"<starttls xmlns='{TLS}'/>")]
        offered = [one.text for one in features.iter(f"{{{SASL}}}mechanism")]
        if "EXTERNAL" not in offered:
            return self._close(f"it offers no EXTERNAL but {', '.join(filter(None, offered)) or 'nothing'}")
        self.step = "waiting until EXTERNAL is accepted"
        identity = base64.b64encode(self.domain.encode()).decode()
        return [_send(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{identity}</auth>")]

    def _serve(self, element: ET.Element) -> list[Command]:
        """The receiving side's next step."""
        if self._authenticated:
            return [Received(element)]
        if element.tag == f"{{{TLS}}}starttls" and self._names is None:
            self.step = "in the TLS handshake"
            return [_send(f"<proceed xmlns='{TLS}'/>"), StartTls()]
        if element.tag == f"{{{SASL}}}auth" and self._names is not None:
            return self._authenticate(element, self._names)
        return self._fail("not-authorized", f"{element.tag} before authentication")

    def _authenticate(self, auth: ET.Element, names: frozenset[str]) -> list[Command]:
        """EXTERNAL: the name asked for, or without one the header's, stands in the certificate (XEP-0178 section 3)."""
        try:
            given = base64.b64decode((auth.text or "").strip().removeprefix("="), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            given = "\0"  # nobody's name
        wanted = given or self.remote
        if auth.get("mechanism") != "EXTERNAL" or wanted not in names:
            refusal = _send(f"<failure xmlns='{SASL}'><not-authorized/></failure>")
            return [refusal, *self._close(f"its certificate does not prove {wanted!r}")]
        self.remote, self._authenticated = wanted, True
        self.step = "authenticated, waiting for the other's header"
        self._restart()
        return [_send(f"<success xmlns='{SASL}'/>")]

    def _open(self) -> list[Command]:
        self.step, self.ready = "open", True
        return [Ready()]

    def _header(self) -> Send:
        to = f" to={quoteattr(self.remote)}" if self.remote else ""
        name = "" if self.initiator else f" id={quoteattr(self.id)}"
        return _send(
            f"<?xml version='1.0'?><stream:stream xmlns='{SERVER}' xmlns:stream='{STREAMS}' version='1.0'"
            f" from={quoteattr(self.domain)}{to}{name} xml:lang='en'>"
        )

    def _fail(self, condition: str, reason: str) -> list[Command]:
        error = _send(f"<stream:error><{condition} xmlns='{ERRORS}'/></stream:error>")
        return [error, *self._close(f"{condition}: {reason}", condition, "server")]

    def _close(self, reason: str, condition: str = "", by: str = "") -> list[Command]:
        self._over, self.ready = True, False
        return [_send("</stream:stream>"), Closed(reason, condition, by)]


def text(element: ET.Element, inherited: str = SERVER) -> str:
    """An element as XML that stands in a stream whose default namespace is `inherited`; no prefixes but xml's."""
    namespace, _, name = element.tag[1:].rpartition("}") if element.tag[0] == "{" else ("", "", element.tag)
    attributes = "" if namespace == inherited else f" xmlns={quoteattr(namespace)}"
    for index, (key, value) in enumerate(element.items()):
        space, _, plain = key[1:].rpartition("}") if key[0] == "{" else ("", "", key)
        if space == _XML:
            plain = f"xml:{plain}"
        elif space:
            attributes += f" xmlns:a{index}={quoteattr(space)}"
            plain = f"a{index}:{plain}"
        attributes += f" {plain}={quoteattr(value)}"
    inside = escape(element.text or "") + "".join(
        text(child, namespace) + escape(child.tail or "") for child in element
    )
    return f"<{name}{attributes}>{inside}</{name}>" if inside else f"<{name}{attributes}/>"


def _send(xml: str) -> Send:
    return Send(xml.encode())


def _conditions(element: ET.Element) -> Iterator[str]:
    """Names of the conditions in an error, and what its text says."""
    for child in element:
        name = child.tag.rpartition("}")[2]
        yield (child.text or "") if name == "text" else name
