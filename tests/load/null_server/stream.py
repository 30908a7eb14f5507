"""How the null server takes a client in: the connection, TLS, SASL (PLAIN and SCRAM-SHA-1), bind, resumption.

What comes once a client is in goes to `route`, which is the server's (tests.load.null_server).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import ssl
from collections import Counter

from lab.load.client.tls import TlsEngine
from lab.system.scram import compute_server_key, compute_stored_key, derive_password

PASSWORD = "null"
SALT, ITERATIONS = b"xmpplab-null-salt", 4096

_SALTED = derive_password("sha1", PASSWORD.encode(), SALT, ITERATIONS)
_STORED = compute_stored_key("sha1", _SALTED)
_SERVER_KEY = compute_server_key("sha1", _SALTED)

_BUFFER = bytearray(64 * 1024)
_VIEW = memoryview(_BUFFER)
ID = re.compile(rb"<iq[^>]*\bid=['\"]([^'\"]*)")
_NEGOTIATION = re.compile(
    rb"(?:<\?xml[^>]*>)?\s*(?:(<stream:stream[^>]*>)|(<starttls[^>]*>)|<auth[^>]*mechanism=['\"]([A-Z0-9-]+)['\"][^>]*>([^<]*)</auth>"
    rb"|<response[^>]*>([^<]*)</response>|(<iq.*?</iq>)|(<enable[^>]*/>)|<resume([^>]*)/>)",
    re.S,
)


class Account:
    """What stays when a connection breaks."""

    def __init__(self, jid: bytes) -> None:
        self.jid = jid
        self.identity = b""  # of a session that can be resumed
        self.handled = self.acknowledged = self.since_asked = 0
        self.out: list[bytes] = []
        self.peer: Stream | None = None
        self.available = False
        self.ending = False  # what comes goes to a session that is about to end


class World:
    def __init__(self, security: str, context: ssl.SSLContext | None) -> None:
        self.security, self.context = security, context
        self.accounts: dict[bytes, Account] = {}
        self.sessions: dict[bytes, Account] = {}
        self.peers: set[Stream] = set()
        self.swallow = self.double = self.ignore = self.late = self.keep = 0
        self.routed = 0
        self.logins: Counter[bytes] = Counter()  # by bare JID
        self.linger = 0.0
        self.rosters: dict[bytes, list[bytes]] = {}
        self.archived: set[bytes] = set()
        self.offline: dict[bytes, list[bytes]] | None = {}  # None: nothing is kept


class Stream(asyncio.BufferedProtocol):
    def __init__(self, world: World) -> None:
        self.world = world
        self.rest = b""
        self.tls: TlsEngine | None = None
        self.user = self.domain = self.bare = self.nonce = b""
        self.authenticated = False
        self.account: Account | None = None

    def connection_made(self, transport) -> None:
        self.transport = transport
        if self.world.security == "direct":
            self.tls = TlsEngine(self.world.context, transport.write, server=True)
        self.world.peers.add(self)

    def connection_lost(self, error) -> None:
        self.world.peers.discard(self)
        if self.account is not None and self.account.peer is self:
            self.account.peer = None

    def get_buffer(self, sizehint: int) -> bytearray:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        if self.tls is None:
            self.take(_VIEW[:nbytes])
            return
        try:
            self.tls.receive(_VIEW[:nbytes], self.take)
        except ssl.SSLError:
            self.transport.abort()

    def write(self, data: bytes) -> None:
        (self.transport.write if self.tls is None else self.tls.send)(data)

    def take(self, data: memoryview) -> None:
        data = self.rest + data if self.rest else bytes(data)
        self.rest = b""
        if self.account is None:
            data = self.negotiate(data)
        if self.account is not None and data:
            data = self.route(data)
        self.rest = data

    # -- negotiation

    def negotiate(self, data: bytes) -> bytes:
        while self.account is None and (found := _NEGOTIATION.match(data)):
            data = data[found.end() :]
            stream, starttls, mechanism, initial, response, iq, _, resume = found.groups()
            if stream:
                self.domain = re.search(rb"to=['\"]([^'\"]*)", stream)[1]
                self.open()
            elif starttls:
                self.write(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                self.tls = TlsEngine(self.world.context, self.transport.write, server=True)
            elif mechanism == b"PLAIN":
                _, self.user, password = base64.b64decode(initial).split(b"\0")
                self.success(password == PASSWORD.encode(), b"")
            elif mechanism:
                self.challenge(base64.b64decode(initial))
            elif response is not None:
                self.prove(base64.b64decode(response))
            elif resume is not None:
                self.resume(resume)
            elif iq:
                self.bind(ID.match(iq)[1])
        return data

    def open(self) -> None:
        header = (
            b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' "
            b"xmlns:stream='http://etherx.jabber.org/streams' "
            b"id='%b' from='%b' version='1.0'><stream:features>" % (secrets.token_hex(8).encode(), self.domain)
        )
        if self.authenticated:
            features = b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
            features += b"<sm xmlns='urn:xmpp:sm:2'/><sm xmlns='urn:xmpp:sm:3'/>"
            features += b"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>"
        elif self.world.security == "starttls" and self.tls is None:
            features = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
        else:
            features = b"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-1</mechanism>"
            features += b"<mechanism>PLAIN</mechanism></mechanisms>"
        self.write(header + features + b"</stream:features>")

    def challenge(self, first: bytes) -> None:
        self.bare = first[3:]
        fields = dict(part.split(b"=", 1) for part in self.bare.split(b","))
        self.user, self.nonce = fields[b"n"], fields[b"r"] + secrets.token_hex(8).encode()
        self.first = b"r=%b,s=%b,i=%d" % (self.nonce, base64.b64encode(SALT), ITERATIONS)
        self.write(
            b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + base64.b64encode(self.first) + b"</challenge>"
        )

    def prove(self, last: bytes) -> None:
        without, _, proof = last.rpartition(b",p=")
        signed = b",".join((self.bare, self.first, without))
        signature = hmac.digest(_STORED, signed, "sha1")
        key = bytes(a ^ b for a, b in zip(signature, base64.b64decode(proof), strict=True))
        good = hashlib.sha1(key, usedforsecurity=False).digest() == _STORED
        verifier = b"v=" + base64.b64encode(hmac.digest(_SERVER_KEY, signed, "sha1"))
        self.success(good and b"r=" + self.nonce in without, base64.b64encode(verifier))

    def success(self, good: bool, data: bytes) -> None:
        self.authenticated = good
        if good:
            self.write(b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>" + data + b"</success>")
        else:
            self.write(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>")

    def bind(self, identity: bytes) -> None:
        bare = self.user + b"@" + self.domain
        account = self.account = self.world.accounts[bare] = Account(bare + b"/load")
        account.peer = self
        self.world.logins[bare] += 1
        self.write(
            b"<iq type='result' id='%b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>%b</jid></bind></iq>"
            % (identity, account.jid)
        )

    def resume(self, attributes: bytes) -> None:
        previous = re.search(rb"previd=['\"]([^'\"]*)", attributes)[1]
        account = self.world.sessions.get(previous)
        if account is None:
            self.write(b"<failed xmlns='urn:xmpp:sm:3'/>")
            return
        if account.peer is not None:
            account.peer.transport.abort()
        self.account, account.peer = account, self
        self.acknowledge(attributes)
        self.write(b"<resumed xmlns='urn:xmpp:sm:3' previd='%b' h='%d'/>" % (previous, account.handled))
        if account.out:
            self.write(b"".join(account.out))

    def acknowledge(self, element: bytes) -> None:
        account = self.account
        count = int(re.search(rb"\bh=['\"](\d+)", element)[1]) - account.acknowledged
        del account.out[:count]
        account.acknowledged += count
        account.since_asked = 0

    # -- stanzas

    def route(self, data: bytes) -> bytes:
        raise NotImplementedError
