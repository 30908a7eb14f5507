"""A raw server-to-server peer: it listens, connects, answers pings, and sends what the script asks for.

It is the agent's other kind of device (requests `peer_…` of lab/clients/protocol.py) and stands in for a server with
`software: scripted`. A stream carries stanzas one way (RFC 6120 section 4.1), so with each server there are two: the
other server's, on which its stanzas are received, and the peer's own. That one is opened when there is something to
send, to the address that the lab's DNS gives (SRV, RFC 6120 section 3.2.1).

Its public coroutines are those requests without their prefix; each says in the protocol what is true once it returns.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

from lab.clients.xmpp import server_stream
from lab.clients.xmpp.server_stream import Negotiation, ServerStream
from lab.declarations.domains import a_labels
from lab.errors import LabError, PeerError, UserError
from lab.network.srv import look_up_server

PING = "urn:xmpp:ping"

#: What is done with a stream that another server opens: answer it, send nothing, or reset its connection.
BEHAVIOURS = ("answer", "silent", "refuse")

#: Of streams: those that we open, those that we accept.
DIRECTIONS = ("out", "in")

#: What may be set of a `Negotiation`, and to which words.
_CHOICES = {
    "tls": server_stream.TLS_CHOICES,
    "authentication": server_stream.AUTHENTICATIONS,
    "key": server_stream.KEYS,
    "verifies": server_stream.VERIFICATIONS,
}

#: Seconds that an authoritative server has to say what it thinks of a key (XEP-0220).
VERIFYING = 20.0

#: Seconds for a stream to be opened; over dialback it waits for two further ones.
OPENING = 20.0

#: Seconds for a TLS handshake; a server under load takes tenths.
HANDSHAKE = 20.0

#: Seconds that the other side has to close TLS after us.
CLOSING = 2.0

Json = dict[str, Any]


class ScriptedPeer:
    """One peer. `emit` is called with each of its events, as the protocol has them."""

    KIND = "peer"  # what people call it in messages

    def __init__(self, name: str, emit: Callable[[Json], None]) -> None:
        self.name = name
        self.behaviour = BEHAVIOURS[0]
        self._negotiations = {direction: Negotiation() for direction in DIRECTIONS}
        self._secret = secrets.token_hex(16)  # of its dialback keys
        self._asked: dict[tuple[str, str], asyncio.Future[str]] = {}  # keys that we verify, by sender and stream id
        self.handshake = HANDSHAKE
        self._emit_event = emit
        self._domain = ""
        self._server: asyncio.Server | None = None
        self._connections: set[PeerConnection] = set()
        self._opening: dict[str, asyncio.Task[PeerConnection]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._answers_pings = True

    @property
    def step(self) -> str:
        """The state of each stream that is not open yet, for people."""
        streams = [one.stream for one in self._connections if not one.stream.ready]
        return "; ".join(f"{one.remote or 'somebody'}: {one.step}" for one in streams) or "no stream is being opened"

    async def listen(
        self,
        *,
        domain: str,
        host: str,
        port: int,
        certificate: str,
        key: str,
        authority: str,
        dns: list[Any],
        handshake: float = HANDSHAKE,
    ) -> Json:
        """Accept streams; see the protocol."""
        if self._server is not None:
            raise UserError(f"peer {self.name!r} listens already")
        self._authority = authority
        self._show_certificate(certificate, key)
        self._domain, self._dns = domain, (str(dns[0]), int(dns[1]))
        self.handshake = handshake

        def accepted() -> PeerConnection:
            return PeerConnection(self, self._stream())

        try:
            self._server = await asyncio.get_running_loop().create_server(accepted, host, port)
        except OSError as error:
            raise UserError(
                f"peer {self.name!r} cannot listen on {host} port {port}: {error.strerror or error}; "
                "close the one that does first"
            ) from error
        return {}

    def _show_certificate(self, certificate: str, key: str) -> None:
        try:
            self._contexts = {
                (initiator, checked): _context(initiator, checked, certificate, key, self._authority)
                for initiator in (True, False)
                for checked in (True, False)
            }
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"peer {self.name!r}: certificate, key or authority cannot be used: {error}") from error

    def _stream(self, remote: str = "", **changes: Any) -> ServerStream:
        """A new stream: ours to the domain `remote`, or one that is received."""
        how = replace(self._negotiations["out" if remote else "in"], **changes)
        return ServerStream(self._domain, remote=remote, initiator=bool(remote), negotiation=how, secret=self._secret)

    async def negotiate(
        self,
        *,
        tls: str | None = None,
        authentication: str | None = None,
        key: str | None = None,
        verifies: str | None = None,
        header: dict[str, Any] | None = None,
        features: str | None = None,
        certificate: list[Any] | None = None,
        direction: str | None = None,
    ) -> Json:
        """Set how streams are negotiated from now on; see the protocol."""
        if direction not in (None, *DIRECTIONS):
            raise UserError(
                f"direction: {direction!r} is unknown: use one of {', '.join(DIRECTIONS)}, or none for both"
            )
        given = {"tls": tls, "authentication": authentication, "key": key, "verifies": verifies}
        for name, value in given.items():
            if value is not None and value not in _CHOICES[name]:
                raise UserError(f"{name}: {value!r} is unknown: use one of {', '.join(_CHOICES[name])}")
        changes: Json = {name: value for name, value in given.items() if value is not None}
        if header is not None:
            changes["header"] = {str(name): None if value is None else str(value) for name, value in header.items()}
        if features is not None:
            changes["features"] = features or None
        if certificate is not None:
            self._show_certificate(*map(str, certificate))
        for one in DIRECTIONS if direction is None else (direction,):
            self._negotiations[one] = replace(self._negotiations[one], **changes)
        if verifies is not None:  # questions come on streams that are there already
            for connection in self._connections:
                connection.stream.negotiation = replace(connection.stream.negotiation, verifies=verifies)
        return {}

    async def open(self, *, to: str, within: float = OPENING) -> Json:
        """Open a stream to a domain afresh, as is negotiated now; see the protocol."""
        if to in self._opening:
            self._opening[to].cancel()
            await asyncio.wait([self._opening[to]])
        await self.close(domain=to, initiated=True)
        try:
            connection = await self._connection_to(to, within)
        except StreamRefused as error:
            return {"open": False, "reason": str(error), **error.connection.facts}
        return {"open": True, "reason": "", **connection.facts}

    async def send(self, *, xml: str) -> Json:
        """Send one stanza to the server of its `to`, as it is written."""
        try:
            (stanza,) = ET.fromstring(f"<x xmlns='{server_stream.SERVER}'>{xml}</x>")  # noqa: S314 - the script's own
        except (ET.ParseError, ValueError) as error:
            raise UserError(f"not one well-formed stanza ({error}); peer_raw sends what is none") from error
        if not (to := stanza.get("to")):
            raise UserError("the stanza has no `to`: add it, or use peer_raw")
        return await self.raw(to=_domain(to), data=xml)

    async def raw(self, *, to: str, data: str) -> Json:
        """Write bytes (UTF-8) on our stream to the domain `to`."""
        connection = await self._connection_to(to)
        connection.transport.write(data.encode())
        return {"stream": connection.stream.id}

    async def behave(self, *, pings: bool | None = None, streams: str | None = None) -> Json:
        """Set whether pings are answered, and what is done with streams that another server opens."""
        if streams is not None and streams not in BEHAVIOURS:
            raise UserError(f"streams: {streams!r} is unknown: use one of {', '.join(BEHAVIOURS)}")
        self._answers_pings = self._answers_pings if pings is None else pings
        self.behaviour = streams or self.behaviour
        return {}

    async def close(
        self, *, domain: str | None = None, condition: str = "", abort: bool = False, initiated: bool = False
    ) -> Json:
        """End the streams with a domain, or all; with `initiated` only our own."""
        wanted = [one for one in self._connections if domain in (None, one.stream.remote)]
        wanted = [one for one in wanted if one.stream.initiator or not initiated]
        for one in wanted:
            if abort:
                one.transport.abort()
            else:
                one.execute(one.stream.stop(condition))
        if wanted:
            await asyncio.wait([one.gone for one in wanted])
        return {"streams": len(wanted)}

    async def disconnect(self) -> Json:
        """Stop listening and end all streams."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in (*self._tasks, *self._opening.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._opening.values(), return_exceptions=True)
        return await self.close()

    async def _connection_to(self, domain: str, within: float | None = None) -> PeerConnection:
        """Our stream to a domain; opened if there is none, `within` so many seconds.

        Raises PeerError with how far it got.
        """
        for one in self._connections:
            if one.stream.initiator and one.stream.ready and one.stream.remote == domain and not one.verifies:
                return one
        if self._server is None:
            raise UserError(f"peer {self.name!r} does not listen: use peer_listen first")
        if domain not in self._opening:
            task = self._opening[domain] = asyncio.create_task(self._connect(domain, within))
            task.add_done_callback(lambda _: self._opening.pop(domain, None))
        return await asyncio.shield(self._opening[domain])

    async def _connect(self, domain: str, within: float | None = None, **changes: Any) -> PeerConnection:
        """A new stream of ours, open `within` so many seconds; with `changes` in its negotiation: for a question."""
        host, port = await look_up_server(domain, self._dns)
        connection = PeerConnection(self, self._stream(domain, **changes), verifies=bool(changes))
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, host, port)
        except OSError as error:
            raise PeerError(f"no stream to {domain}: {host} port {port}: {error.strerror or error}") from error
        try:
            both = (connection.opened, connection.gone)
            await asyncio.wait(both, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            connection.transport.abort()
            raise
        if not connection.opened.done():
            if not connection.gone.done():
                connection.end(f"nothing more was received within {within:g} s")
                await connection.gone
            raise StreamRefused(connection)
        return connection

    async def _verify(self, asking: PeerConnection, request: server_stream.VerifyKey) -> None:
        """Ask the authoritative server about a key, on a stream of its own (XEP-0220 section 2.2); tell its answer."""
        answer = self._asked[request.sender, request.id] = asyncio.get_running_loop().create_future()
        said, connection = "error", None
        try:
            async with asyncio.timeout(VERIFYING):
                connection = await self._connect(request.sender, authentication="none")
                connection.execute(connection.stream.verify(request.key, self._domain, request.id))
                said = await answer
        except (LabError, TimeoutError) as error:
            self.emit("trouble", message=f"the key of {request.sender} cannot be verified: {error or 'no answer'}")
        finally:
            del self._asked[request.sender, request.id]
            if connection is not None:
                connection.execute(connection.stream.stop())
        asking.execute(asking.stream.verified(request.sender, said))

    # -- called by its connections -------------------------------------------------------------------------------

    def context(self, stream: ServerStream) -> ssl.SSLContext:
        """The TLS context of a stream. Where dialback is to prove the other's domain, any certificate will do."""
        how = stream.negotiation
        return self._contexts[stream.initiator, not how.dialback if stream.initiator else how.external]

    def on_connection(self, connection: PeerConnection) -> None:
        """A connection was made."""
        self._connections.add(connection)

    def on_connection_lost(self, connection: PeerConnection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)

    def on_stanza(self, connection: PeerConnection, stanza: ET.Element) -> None:
        """A stanza was received: on a stream that another server opened, or against the direction of our own."""
        xml = server_stream.format_element(stanza)
        kinds = {key: stanza.get(key) for key in ("type", "id", "from", "to")}
        name = stanza.tag.rpartition("}")[2]
        stream = connection.stream
        self.emit("peer_stanza", name=name, xml=xml, domain=stream.remote, stream=stream.id,
                  direction="out" if stream.initiator else "in", **kinds)  # fmt: skip
        if self._answers_pings and kinds["type"] == "get" and stanza.find(f"{{{PING}}}ping") is not None:
            answer = ET.Element("iq", {"type": "result"})
            for key, value in (("from", kinds["to"]), ("to", kinds["from"]), ("id", kinds["id"])):
                answer.set(key, value or "")
            self._spawn(self.send(xml=server_stream.format_element(answer, "")))

    def on_key(self, connection: PeerConnection, request: server_stream.VerifyKey) -> None:
        """Another server proves by a key who it is."""
        self._spawn(self._verify(connection, request))

    def on_dialback(self, connection: PeerConnection, element: ET.Element) -> None:
        """An element of dialback was received: an answer to our question, or something to be told."""
        kinds = {key: element.get(key) for key in ("type", "id", "from", "to")}
        name, stream = element.tag.rpartition("}")[2], connection.stream
        waiting = self._asked.get((kinds["from"] or "", kinds["id"] or ""))
        if connection.verifies and name == "verify" and waiting is not None and not waiting.done():
            waiting.set_result("valid" if kinds["type"] == "valid" else "invalid")
        self.emit("peer_dialback", name=name, domain=stream.remote, stream=stream.id,
                  direction="out" if stream.initiator else "in", **kinds)  # fmt: skip

    def emit(self, event: str, **fields: Any) -> None:
        """Emit an event of this peer."""
        self._emit_event({"event": event, "device": self.name, "at": time.time(), **fields})

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        async def guarded() -> None:
            try:
                await work
            except LabError as error:
                self.emit("trouble", message=str(error))

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class StreamRefused(PeerError):
    """A stream of ours that ended before it was open. `connection` knows how far it got."""

    def __init__(self, connection: PeerConnection) -> None:
        stream = connection.stream
        super().__init__(f"no stream to {stream.remote}: {connection.gone.result()}; it was {stream.step}")
        self.connection = connection


class PeerConnection(asyncio.Protocol):
    """One connection of a peer: its stream, its transport, TLS on it.

    `opened` is done once stanzas may pass, `gone` (with the reason) once it has ended.
    """

    transport: Any  # asyncio.Transport

    def __init__(self, peer: ScriptedPeer, stream: ServerStream, *, verifies: bool = False) -> None:
        """`verifies`: a stream of ours for a question to an authoritative server, and for nothing else."""
        loop = asyncio.get_running_loop()
        self._peer = peer
        self.stream = stream
        self.verifies = verifies
        self.opened: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[str] = loop.create_future()
        self._reason = ""
        self.error = ("", "")  # condition of the stream error and who sent it
        self.tls = ""
        self._upgrade: asyncio.Task[None] | None = None
        self._early: bytearray | None = None  # what is received during the TLS handshake, before we know its end

    @property
    def facts(self) -> Json:
        """What was negotiated, as the protocol names it."""
        (condition, by), stream = self.error, self.stream
        return {"condition": condition, "by": by, "features": stream.features, "tls": self.tls,
                "authentication": stream.authentication, "stream": stream.id}  # fmt: skip

    def end(self, reason: str) -> None:
        """Reset the connection."""
        self._reason = self._reason or reason
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is connected."""
        self.transport = transport
        self._peer.on_connection(self)
        if self.stream.initiator:
            self.execute(self.stream.begin())
        elif self._peer.behaviour == "refuse":
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes were received."""
        if self._early is not None:
            self._early += data
        elif self.stream.initiator or self.stream.ready or self._peer.behaviour == "answer":
            self.execute(self.stream.receive(data))

    def execute(self, commands: list[server_stream.Command]) -> None:
        """Execute what the stream asks for."""
        for command in commands:
            match command:
                case server_stream.Send(data):
                    self.transport.write(data)
                case server_stream.StartTls():
                    self._early = bytearray()
                    self._upgrade = asyncio.create_task(self._start_tls())
                case server_stream.Ready():
                    self.opened.set_result(None)
                    self._emit("open")
                case server_stream.VerifyKey():
                    self._peer.on_key(self, command)
                case server_stream.Dialback(element):
                    self._peer.on_dialback(self, element)
                case server_stream.Received(element):
                    self._peer.on_stanza(self, element)
                case server_stream.Closed(reason, condition, by):
                    self._reason, self.error = self._reason or reason, (condition, by)
                    self.transport.close()

    async def _start_tls(self) -> None:
        initiator = self.stream.initiator
        try:
            self.transport = await asyncio.get_running_loop().start_tls(
                self.transport, self, self._peer.context(self.stream), server_side=not initiator,
                server_hostname=a_labels(self.stream.remote) if initiator else None,
                ssl_handshake_timeout=self._peer.handshake, ssl_shutdown_timeout=CLOSING,
            )  # fmt: skip
        except OSError as error:  # ssl.SSLError is one
            self._reason = f"no TLS: {error}"
            self.transport.abort()
            return
        self.tls = self.transport.get_extra_info("ssl_object").version() or ""
        certificate = self.transport.get_extra_info("peercert") or {}
        names = (value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS")
        early, self._early = self._early, None
        self.execute(self.stream.secured(frozenset(names)))
        if early:
            self.data_received(bytes(early))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended, by whichever side."""
        self._peer.on_connection_lost(self)
        self._reason = self._reason or str(exc or "the connection ended")
        self._emit("closed")
        if not self.gone.done():
            self.gone.set_result(self._reason)

    def _emit(self, state: str) -> None:
        stream, (condition, by) = self.stream, self.error
        self._peer.emit(
            "peer_stream", state=state, direction="out" if stream.initiator else "in", domain=stream.remote,
            stream=stream.id, tls=self.tls, authentication=stream.authentication,
            reason=self._reason if state == "closed" else "", condition=condition, by=by,
        )  # fmt: skip


def _context(initiator: bool, checked: bool, certificate: str, key: str, authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if initiator else ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    if not checked:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif not initiator:
        context.verify_mode = ssl.CERT_OPTIONAL  # a client without a certificate is not offered EXTERNAL
    return context


def _domain(jid: str) -> str:
    """The domain part of a JID (RFC 7622 section 3.2)."""
    return jid.partition("/")[0].rpartition("@")[2]
