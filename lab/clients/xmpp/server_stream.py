"""A server-to-server stream (RFC 6120) without input or output: it takes bytes and returns commands.

    stream = ServerStream("peer.test", remote="home.test", initiator=True)
    for command in stream.begin() + stream.receive(data): ...

The path of a stream is header, STARTTLS (section 5), header, SASL EXTERNAL (section 6, XEP-0178), header, stanzas; the
initiating and the receiving side take these steps in turn. TLS itself is the caller's: on `StartTls` it upgrades the
connection and calls `secured` with the names that the other's certificate proves. A `Negotiation` says which steps are
taken: without TLS, with dialback (XEP-0220) instead of EXTERNAL or after it, with another header, other features.

Dialback has three roles. The initiating server sends a key that only its domain can have made (XEP-0185). The receiving
one has it verified: on `VerifyKey` the caller asks the domain's authoritative server and calls `verified`. The
authoritative one is asked on a stream of the receiving server's and answers at once.

Rules: nothing but STARTTLS where TLS is required and not there yet; a stream carries stanzas one way, from its
initiator (section 4.5; XEP-0288 is not offered). What is against them ends the stream with an error, but for a
stanza against the direction, which is returned like others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from lab.clients.xmpp.parser import PromptParser

SERVER = "jabber:server"
STREAMS = "http://etherx.jabber.org/streams"
ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
DIALBACK = "jabber:server:dialback"

_STANZAS = frozenset(f"{{{SERVER}}}{name}" for name in ("message", "presence", "iq"))
_XML = "http://www.w3.org/XML/1998/namespace"
_STARTTLS = f"<starttls xmlns='{TLS}'/>"
_STARTTLS_REQUIRED = f"<starttls xmlns='{TLS}'><required/></starttls>"
_EXTERNAL = f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>"
_DIALBACK = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
_RESULT, _VERIFY = f"{{{DIALBACK}}}result", f"{{{DIALBACK}}}verify"

#: Values of the fields of `Negotiation`.
TLS_CHOICES = ("required", "optional", "none")
AUTHENTICATIONS = ("external", "dialback", "either", "none")
KEYS = ("true", "false")
VERIFICATIONS = ("truth", "valid", "invalid", "silence")


@dataclass(frozen=True)
class Negotiation:
    """How one side negotiates its streams, those that it initiates and those that it receives."""

    tls: str = "required"  # "optional": used where both have it; "none": neither offered nor used
    authentication: str = "external"  # "either": EXTERNAL, else dialback; "none": a stream is left unauthenticated
    header: Mapping[str, str | None] = field(default_factory=dict)  # attributes of headers; None leaves one out
    features: str | None = None  # XML that stands in <stream:features/>, instead of what the other fields say
    key: str = "true"  # "false": dialback keys that its domain did not make
    verifies: str = "truth"  # what it says of keys as authoritative server; "silence": nothing

    @property
    def external(self) -> bool:
        """Whether EXTERNAL is offered and used."""
        return self.authentication in ("external", "either")

    @property
    def dialback(self) -> bool:
        """Whether dialback is offered and used, and asked for by others is answered."""
        return self.authentication != "external"


@dataclass(frozen=True)
class Send:
    """Write these bytes."""

    data: bytes


@dataclass(frozen=True)
class StartTls:
    """Upgrade the connection, then call `secured`."""


@dataclass(frozen=True)
class Ready:
    """Stanzas may follow, from its initiator: the stream is authenticated, or is to stay without that."""


@dataclass(frozen=True)
class VerifyKey:
    """Ask the authoritative server of `sender` whether it made this key (XEP-0220 section 2.1.2), call `verified`."""

    key: str
    sender: str
    id: str  # of the stream that the key is for


@dataclass(frozen=True)
class Dialback:
    """An element of dialback was received that answers none of this stream's requests."""

    element: ET.Element


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


Command = Send | StartTls | Ready | VerifyKey | Dialback | Received | Closed


def dialback_key(secret: str, receiving: str, originating: str, stream: str) -> str:
    """The key of a stream (XEP-0185 section 3): only who has the originating server's secret can make it."""
    return hmac.new(
        hashlib.sha256(secret.encode()).hexdigest().encode(), f"{receiving} {originating} {stream}".encode(), "sha256"
    ).hexdigest()


class ServerStream:
    """One stream, seen from `domain`. `step` says in words how far it is opened."""

    def __init__(
        self,
        domain: str,
        *,
        remote: str = "",
        initiator: bool = False,
        negotiation: Negotiation | None = None,
        secret: str = "",
    ) -> None:
        """`remote` is the other domain; who receives a stream learns it from the header. `secret` is for keys."""
        self.domain, self.remote, self.initiator = domain, remote, initiator
        self.negotiation, self._secret = negotiation or Negotiation(), secret
        self.features = ""  # what the other side offered last, as XML
        self.id = uuid.uuid4().hex
        self.step = "connected, waiting for the other's header"
        self.ready = False
        self._names: frozenset[str] | None = None  # what the other's certificate proves; None before TLS
        self._authentication = ""
        self._called_back = False
        self._over = False
        self._restart()

    @property
    def authentication(self) -> str:
        """How the initiating side was authenticated: "EXTERNAL" or "dialback", "" before."""
        return self._authentication

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

    def verified(self, sender: str, answer: str) -> list[Command]:
        """The authoritative server's answer about the key of a `VerifyKey`: "valid", "invalid" or "error"."""
        if self._over:
            return []
        error = f"<error type='cancel'><remote-server-timeout xmlns='{_ERRORS}'/></error>"
        said: list[Command] = [self._dialback("result", sender, type=answer, inside=error if answer == "error" else "")]
        if answer == "invalid":
            return [*said, *self._close(f"its key for {sender} is not valid")]
        if answer != "valid" or self._authentication:
            return said
        self.remote, self._authentication = sender, "dialback"
        return [*said, *self._open()]

    def verify(self, key: str, receiving: str, stream: str) -> list[Command]:
        """Ask the other side, as authoritative server, about a key for a stream that `receiving` was given."""
        return [self._dialback("verify", self.remote, inside=escape(key), id=stream, sender=receiving)]

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
            if element.get("version") is None:  # then it sends no features (section 4.7.5)
                return self._choose(ET.Element("none"))
            self.step = "waiting for the other's features"
            return []
        return self._greet(element)

    def _greet(self, header: ET.Element) -> list[Command]:
        """Answer a header with ours and the features that follow."""
        self.remote = header.get("from") or self.remote
        if (to := header.get("to", self.domain)) != self.domain and not to.endswith(f".{self.domain}"):
            return [self._header(), *self._fail("host-unknown", f"it asks for {to}")]
        greeting: list[Command] = [self._header()]
        if header.get("version") is not None:  # without it there are none (section 4.7.5)
            greeting.append(_send(f"<stream:features>{self._offer()}</stream:features>"))
        if not self._authentication:
            self.step = "waiting for STARTTLS" if self._must_encrypt else "waiting for authentication"
            return greeting
        return [*greeting, *self._open()]

    @property
    def _must_encrypt(self) -> bool:
        return self._names is None and self.negotiation.tls == "required"

    def _offer(self) -> str:
        """The features of a stream that is received."""
        if self.negotiation.features is not None:
            return self.negotiation.features
        if self._authentication:
            return ""
        if self._must_encrypt:
            return _STARTTLS_REQUIRED
        offer = _STARTTLS if self._names is None and self.negotiation.tls == "optional" else ""
        if self.negotiation.external and self._names is not None and self.remote in self._names:
            offer += _EXTERNAL
        return offer + (_DIALBACK if self.negotiation.dialback else "")

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
        if element.tag == f"{{{SASL}}}success" and not self._authentication:
            self._authentication = "EXTERNAL"
            self.step = "authenticated, waiting for the other's header"
            self._restart()
            return [self._header()]
        if element.tag == f"{{{SASL}}}failure" and self.negotiation.authentication == "either":
            return self._call_back()
        if element.tag in (f"{{{TLS}}}failure", f"{{{SASL}}}failure"):
            return self._close(f"it refuses: {', '.join(_conditions(element))}")
        if element.tag == _RESULT and self._called_back:
            return self._judged(element)
        if element.tag in (_RESULT, _VERIFY) and self.negotiation.dialback:
            return [Dialback(element)]
        if self.ready and element.tag in _STANZAS:  # against the direction: some answer there what they cannot read
            return [Received(element)]
        return self._fail("unsupported-stanza-type", f"{element.tag} is against the stream's direction")

    def _choose(self, features: ET.Element) -> list[Command]:
        self.features = "".join(format_element(one) for one in features)
        if self._authentication:
            return self._open()
        if self._names is None and self.negotiation.tls != "none":
            if features.find(f"{{{TLS}}}starttls") is not None:
                self.step = "waiting for its TLS"
                return [_send(f"<starttls xmlns='{TLS}'/>")]
            if self.negotiation.tls == "required":
                return self._close("it offers no TLS")
        if self.negotiation.authentication == "none":
            return self._open("open, and not authenticated")
        offered = [one.text for one in features.iter(f"{{{SASL}}}mechanism")]
        if self.negotiation.external and "EXTERNAL" in offered:
            self.step = "waiting until EXTERNAL is accepted"
            identity = base64.b64encode(self.domain.encode()).decode()
            return [_send(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>{identity}</auth>")]
        if self.negotiation.dialback:
            return self._call_back()
        return self._close(f"it offers no EXTERNAL but {', '.join(filter(None, offered)) or 'nothing'}")

    def _call_back(self) -> list[Command]:
        """Dialback, also where it is not offered: the other side decides (XEP-0220 section 2.1.1)."""
        self.step, self._called_back = "waiting until its key is verified", True
        secret = self._secret if self.negotiation.key == "true" else f"not {self._secret}"
        key = dialback_key(secret, self.remote, self.domain, self._root.get("id", ""))
        return [self._dialback("result", self.remote, inside=key)]

    def _judged(self, result: ET.Element) -> list[Command]:
        """What became of our key (XEP-0220 section 2.1.1 and 2.4)."""
        self._called_back = False
        if result.get("type") == "valid":
            self._authentication = "dialback"
            return self._open()
        conditions = [one.tag.rpartition("}")[2] for one in result.iter() if one.tag.startswith(f"{{{_ERRORS}}}")]
        return self._close(f"dialback: {result.get('type')} {', '.join(conditions)}".rstrip())

    def _serve(self, element: ET.Element) -> list[Command]:
        """The receiving side's next step."""
        if element.tag in (_RESULT, _VERIFY) and self.negotiation.dialback and not self._must_encrypt:
            return self._serve_dialback(element)
        if self._authentication:
            return [Received(element)]
        if element.tag == f"{{{TLS}}}starttls" and self._names is None and self.negotiation.tls != "none":
            self.step = "in the TLS handshake"
            return [_send(f"<proceed xmlns='{TLS}'/>"), StartTls()]
        if element.tag == f"{{{SASL}}}auth" and self._names is not None and self.negotiation.external:
            return self._authenticate(element, self._names)
        return self._fail("not-authorized", f"{element.tag} before authentication")

    def _serve_dialback(self, element: ET.Element) -> list[Command]:
        """A key of an initiating server, or a question about one that was given in our name."""
        key, sender = (element.text or "").strip(), element.get("from", "")
        if element.get("type") is not None:
            return [Dialback(element)]
        if element.tag == _RESULT:
            self.step = f"waiting until the key of {sender} is verified"
            return [VerifyKey(key, sender, self.id)]
        verifies, stream = self.negotiation.verifies, element.get("id", "")
        if verifies == "silence":
            return [Dialback(element)]
        made = dialback_key(self._secret, sender, element.get("to", ""), stream)
        answer = verifies if verifies != "truth" else "valid" if hmac.compare_digest(key, made) else "invalid"
        return [Dialback(element), self._dialback("verify", sender, type=answer, id=stream)]

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
        self.remote, self._authentication = wanted, "EXTERNAL"
        self.step = "authenticated, waiting for the other's header"
        self._restart()
        return [_send(f"<success xmlns='{SASL}'/>")]

    def _open(self, step: str = "open") -> list[Command]:
        self.step, self.ready = step, True
        return [Ready()]

    def _header(self) -> Send:
        attributes: dict[str, str | None] = {"xmlns": SERVER, "xmlns:stream": STREAMS}
        if self.negotiation.dialback:
            attributes["xmlns:db"] = DIALBACK
        attributes |= {"version": "1.0", "from": self.domain, "to": self.remote or None}
        attributes |= {"id": None if self.initiator else self.id, "xml:lang": "en", **self.negotiation.header}
        given = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items() if value is not None)
        return _send(f"<?xml version='1.0'?><stream:stream{given}>")

    def _dialback(self, name: str, to: str, *, inside: str = "", sender: str = "", **attributes: str) -> Send:
        given = {"from": sender or self.domain, "to": to, **attributes}
        given_text = "".join(f" {key}={quoteattr(value)}" for key, value in given.items())
        return _send(f"<db:{name}{given_text}>{inside}</db:{name}>")

    def _fail(self, condition: str, reason: str) -> list[Command]:
        error = _send(f"<stream:error><{condition} xmlns='{ERRORS}'/></stream:error>")
        return [error, *self._close(f"{condition}: {reason}", condition, "server")]

    def _close(self, reason: str, condition: str = "", by: str = "") -> list[Command]:
        self._over, self.ready = True, False
        return [_send("</stream:stream>"), Closed(reason, condition, by)]


def format_element(element: ET.Element, inherited: str = SERVER) -> str:
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
        format_element(child, namespace) + escape(child.tail or "") for child in element
    )
    return f"<{name}{attributes}>{inside}</{name}>" if inside else f"<{name}{attributes}/>"


def _send(xml: str) -> Send:
    return Send(xml.encode())


def _conditions(element: ET.Element) -> Iterator[str]:
    """Names of the conditions in an error, and what its text says."""
    for child in element:
        name = child.tag.rpartition("}")[2]
        yield (child.text or "") if name == "text" else name
