"""A raw server-to-server peer: it listens, connects, answers pings, and sends what the script asks for.

It is the agent's other kind of device (requests `peer_…` of lab/clients/protocol.py) and stands in for a server with
`software: scripted`. A stream carries stanzas one way (RFC 6120 section 4.1), so with each server there are two: the
other server's, on which its stanzas are received, and the peer's own. That one is opened when there is something to
send, to the address that the lab's DNS gives (SRV, RFC 6120 section 3.2.1).

Its public coroutines are those requests without their prefix; each says in the protocol what is true once it returns.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any
from xml.etree import ElementTree as ET

from lab.clients.xmpp import server_stream
from lab.clients.xmpp.server_stream import ServerStream
from lab.errors import LabError, PeerError, UserError
from lab.network.srv import look_up_server

PING = "urn:xmpp:ping"

#: What is done with a stream that another server opens: answer it, send nothing, or reset its connection.
BEHAVIOURS = ("answer", "silent", "refuse")

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
        self, *, domain: str, host: str, port: int, certificate: str, key: str, authority: str, dns: list[Any]
    ) -> Json:
        """Accept streams; see the protocol."""
        if self._server is not None:
            raise UserError(f"peer {self.name!r} listens already")
        try:
            self._accepting = _context(ssl.PROTOCOL_TLS_SERVER, certificate, key, authority)
            self._initiating = _context(ssl.PROTOCOL_TLS_CLIENT, certificate, key, authority)
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"peer {self.name!r}: certificate, key or authority cannot be used: {error}") from error
        self._domain, self._dns = domain, (str(dns[0]), int(dns[1]))

        def accepted() -> PeerConnection:
            return PeerConnection(self, ServerStream(domain))

        try:
            self._server = await asyncio.get_running_loop().create_server(accepted, host, port)
        except OSError as error:
            raise UserError(
                f"peer {self.name!r} cannot listen on {host} port {port}: {error.strerror or error}; "
                "close the one that does first"
            ) from error
        return {}

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

    async def close(self, *, domain: str | None = None, condition: str = "", abort: bool = False) -> Json:
        """End the streams with a domain, or all."""
        wanted = [one for one in self._connections if domain in (None, one.stream.remote)]
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

    async def _connection_to(self, domain: str) -> PeerConnection:
        """Our stream to a domain; opened if there is none. Raises PeerError with how far it got."""
        for one in self._connections:
            if one.stream.initiator and one.stream.ready and one.stream.remote == domain:
                return one
        if self._server is None:
            raise UserError(f"peer {self.name!r} does not listen: use peer_listen first")
        if domain not in self._opening:
            task = self._opening[domain] = asyncio.create_task(self._connect(domain))
            task.add_done_callback(lambda _: self._opening.pop(domain, None))
        return await asyncio.shield(self._opening[domain])

    async def _connect(self, domain: str) -> PeerConnection:
        host, port = await look_up_server(domain, self._dns)
        connection = PeerConnection(self, ServerStream(self._domain, remote=domain, initiator=True))
        try:
            await asyncio.get_running_loop().create_connection(lambda: connection, host, port)
        except OSError as error:
            raise PeerError(f"no stream to {domain}: {host} port {port}: {error.strerror or error}") from error
        try:
            await asyncio.wait((connection.opened, connection.gone), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            connection.transport.abort()
            raise
        if not connection.opened.done():
            raise PeerError(f"no stream to {domain}: {connection.gone.result()}; it was {connection.stream.step}")
        return connection

    # -- called by its connections -------------------------------------------------------------------------------

    def context(self, *, initiator: bool) -> ssl.SSLContext:
        """The TLS context of a stream that we initiate, or accept."""
        return self._initiating if initiator else self._accepting

    def on_connection(self, connection: PeerConnection) -> None:
        """A connection was made."""
        self._connections.add(connection)

    def on_connection_lost(self, connection: PeerConnection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)

    def on_stanza(self, connection: PeerConnection, stanza: ET.Element) -> None:
        """A stanza was received: on a stream that another server opened, or against the direction of our own."""
        xml = server_stream.text(stanza)
        kinds = {key: stanza.get(key) for key in ("type", "id", "from", "to")}
        name = stanza.tag.rpartition("}")[2]
        stream = connection.stream
        self.emit("peer_stanza", name=name, xml=xml, domain=stream.remote, stream=stream.id,
                  direction="out" if stream.initiator else "in", **kinds)  # fmt: skip
        if self._answers_pings and kinds["type"] == "get" and stanza.find(f"{{{PING}}}ping") is not None:
            answer = ET.Element("iq", {"type": "result"})
            for key, value in (("from", kinds["to"]), ("to", kinds["from"]), ("id", kinds["id"])):
                answer.set(key, value or "")
            self._spawn(self.send(xml=server_stream.text(answer, "")))

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


class PeerConnection(asyncio.Protocol):
    """One connection of a peer: its stream, its transport, TLS on it.

    `opened` is done once stanzas may pass, `gone` (with the reason) once it has ended.
    """

    transport: Any  # asyncio.Transport

    def __init__(self, peer: ScriptedPeer, stream: ServerStream) -> None:
        loop = asyncio.get_running_loop()
        self._peer = peer
        self.stream = stream
        self.opened: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[str] = loop.create_future()
        self._reason = ""
        self._error = ("", "")  # condition of the stream error and who sent it
        self._tls = ""
        self._upgrade: asyncio.Task[None] | None = None
        self._early: bytearray | None = None  # what is received during the TLS handshake, before we know its end

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
                case server_stream.Received(element):
                    self._peer.on_stanza(self, element)
                case server_stream.Closed(reason, condition, by):
                    self._reason, self._error = self._reason or reason, (condition, by)
                    self.transport.close()

    async def _start_tls(self) -> None:
        initiator = self.stream.initiator
        try:
            self.transport = await asyncio.get_running_loop().start_tls(
                self.transport, self, self._peer.context(initiator=initiator), server_side=not initiator,
                server_hostname=self.stream.remote if initiator else None,
                ssl_handshake_timeout=HANDSHAKE, ssl_shutdown_timeout=CLOSING,
            )  # fmt: skip
        except OSError as error:  # ssl.SSLError is one
            self._reason = f"no TLS: {error}"
            self.transport.abort()
            return
        self._tls = self.transport.get_extra_info("ssl_object").version() or ""
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
        stream, (condition, by) = self.stream, self._error
        self._peer.emit(
            "peer_stream", state=state, direction="out" if stream.initiator else "in", domain=stream.remote,
            stream=stream.id, tls=self._tls, authentication=stream.authentication,
            reason=self._reason if state == "closed" else "", condition=condition, by=by,
        )  # fmt: skip


def _context(protocol: int, certificate: str, key: str, authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.verify_mode = ssl.CERT_OPTIONAL  # a client without a certificate is not offered EXTERNAL
    return context


def _domain(jid: str) -> str:
    """The domain part of a JID (RFC 7622 section 3.2)."""
    return jid.partition("/")[0].rpartition("@")[2]
