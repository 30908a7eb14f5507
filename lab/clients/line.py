"""One connection of a raw peer: a session (lab/clients/s2s.py), its transport, TLS on it, and whom to tell."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, Protocol
from xml.etree import ElementTree as ET

from lab.clients import s2s

#: Seconds for a TLS handshake; a server under load takes tenths.
HANDSHAKE = 20.0

#: Seconds that the other side has to close TLS after us.
CLOSING = 2.0


class Owner(Protocol):
    """The peer, as its lines see it."""

    way: str  # how streams that come in are met: "answer", "silent" (nothing is said), "refuse" (reset)

    def session(self) -> s2s.Session:
        """A new stream from somebody."""
        ...

    def context(self, line: Line) -> ssl.SSLContext:
        """TLS for a stream of ours or of theirs."""
        ...

    def joined(self, line: Line) -> None:
        """A connection is there."""
        ...

    def left(self, line: Line) -> None:
        """A connection is gone."""
        ...

    def heard(self, line: Line, stanza: ET.Element) -> None:
        """A stanza came on a stream of theirs."""
        ...

    def tell(self, event: str, **fields: Any) -> None:
        """Tell an event of the protocol."""
        ...


class Line(asyncio.Protocol):
    """One connection. `opened` is done once stanzas may pass, `gone` (with the reason) once it has ended."""

    transport: Any  # asyncio.Transport

    def __init__(self, peer: Owner, session: s2s.Session | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._peer = peer
        self.session = session or peer.session()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[str] = loop.create_future()
        self._reason = ""
        self._upgrade: asyncio.Task[None] | None = None
        self._early: bytearray | None = None  # while TLS is shaken hands for: what comes before we know that it is up

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is up."""
        self.transport = transport
        self._peer.joined(self)
        if self.session.initiator:
            self.carry_out(self.session.begin())
        elif self._peer.way == "refuse":
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._early is not None:
            self._early += data
        elif self.session.initiator or self.session.ready or self._peer.way == "answer":
            self.carry_out(self.session.receive(data))

    def carry_out(self, commands: list[s2s.Command]) -> None:
        """Do what the session wants."""
        for command in commands:
            match command:
                case s2s.Send(data):
                    self.transport.write(data)
                case s2s.StartTls():
                    self._early = bytearray()
                    self._upgrade = asyncio.create_task(self._secure())
                case s2s.Ready():
                    self.opened.set_result(None)
                    self._tell("open")
                case s2s.Heard(element):
                    self._peer.heard(self, element)
                case s2s.Closed(reason):
                    self._reason = self._reason or reason
                    self.transport.close()

    async def _secure(self) -> None:
        context, ours = self._peer.context(self), self.session.initiator
        name = self.session.remote if ours else None
        try:
            self.transport = await asyncio.get_running_loop().start_tls(
                self.transport, self, context, server_side=not ours, server_hostname=name,
                ssl_handshake_timeout=HANDSHAKE, ssl_shutdown_timeout=CLOSING,
            )  # fmt: skip
        except OSError as error:  # ssl.SSLError is one
            self._reason = f"no TLS: {error}"
            self.transport.abort()
            return
        certificate = self.transport.get_extra_info("peercert") or {}
        names = (value for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS")
        early, self._early = self._early, None
        self.carry_out(self.session.secured(frozenset(names)))
        if early:
            self.data_received(bytes(early))

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        self._peer.left(self)
        self._reason = self._reason or str(exc or "the connection ended")
        if self.opened.done():
            self._tell("closed")
        if not self.gone.done():
            self.gone.set_result(self._reason)

    def _tell(self, state: str) -> None:
        session, reason = self.session, self._reason if state == "closed" else ""
        direction = "out" if session.initiator else "in"
        self._peer.tell(
            "peer_stream", state=state, direction=direction, domain=session.remote, stream=session.id, reason=reason
        )
