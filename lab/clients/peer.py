"""A raw server-to-server peer: listens, dials, answers pings, and says whatever it is told to.

It is the agent's other kind of device (requests `peer_…` of lab/clients/protocol.py) and stands in for a server with
`software: scripted`. A stream carries stanzas one way, so with each server there are two: theirs, which brings what
it sends, and ours, opened when there is something to say, to where the lab's DNS says (SRV, RFC 6120 section 3.2.1).

Its public coroutines are those requests without their prefix; each says in the protocol what is true once it returns.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any
from xml.etree import ElementTree as ET

from lab.clients import s2s
from lab.clients.line import Line
from lab.errors import LabError, PeerError, UserError
from lab.network.srv import located

PING = "urn:xmpp:ping"
WAYS = ("answer", "silent", "refuse")

Json = dict[str, Any]


class Peer:
    """One peer. `emit` is told its events as the protocol has them."""

    def __init__(self, name: str, emit: Callable[[Json], None]) -> None:
        self.name = name
        self._tell = emit
        self._domain = ""
        self._server: asyncio.Server | None = None
        self._lines: set[Line] = set()
        self._opening: dict[str, asyncio.Task[Line]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pings, self.way = True, WAYS[0]

    @property
    def step(self) -> str:
        """How far each stream has come that is not open yet, for people."""
        steps = [
            f"{one.session.remote or 'somebody'}: {one.session.step}" for one in self._lines if not one.session.ready
        ]
        return "; ".join(steps) or "no stream is being opened"

    async def listen(
        self, *, domain: str, host: str, port: int, certificate: str, key: str, authority: str, dns: list[Any]
    ) -> Json:
        """Accept streams; see the protocol."""
        if self._server is not None:
            raise UserError(f"peer {self.name!r} listens already")
        try:
            self._theirs = _context(ssl.PROTOCOL_TLS_SERVER, certificate, key, authority)
            self._ours = _context(ssl.PROTOCOL_TLS_CLIENT, certificate, key, authority)
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"peer {self.name!r}: certificate, key or authority cannot be used: {error}") from error
        self._domain, self._dns = domain, (str(dns[0]), int(dns[1]))
        try:
            self._server = await asyncio.get_running_loop().create_server(lambda: Line(self), host, port)
        except OSError as error:
            raise UserError(
                f"peer {self.name!r} cannot listen on {host} port {port}: {error.strerror or error}; "
                "close the one that does first"
            ) from error
        return {}

    async def send(self, *, xml: str) -> Json:
        """One stanza to the server of its `to`, as it is written."""
        try:
            (stanza,) = ET.fromstring(f"<x xmlns='{s2s.SERVER}'>{xml}</x>")  # noqa: S314 - the script's own
        except (ET.ParseError, ValueError) as error:
            raise UserError(f"not one well-formed stanza ({error}); peer_raw sends what is none") from error
        if not (to := stanza.get("to")):
            raise UserError("the stanza has no `to`: say whom it is for, or use peer_raw")
        return await self.raw(to=_host(to), data=xml)

    async def raw(self, *, to: str, data: str) -> Json:
        """Bytes (UTF-8) on our stream to the domain `to`."""
        line = await self._line(to)
        line.transport.write(data.encode())
        return {"stream": line.session.id}

    async def behave(self, *, pings: bool | None = None, streams: str | None = None) -> Json:
        """Misbehave, or be good again."""
        if streams is not None and streams not in WAYS:
            raise UserError(f"streams: {streams!r} is unknown: use one of {', '.join(WAYS)}")
        self._pings = self._pings if pings is None else pings
        self.way = streams or self.way
        return {}

    async def close(self, *, domain: str | None = None, condition: str = "", abort: bool = False) -> Json:
        """End the streams with a domain, or all."""
        wanted = [line for line in self._lines if domain in (None, line.session.remote)]
        for line in wanted:
            line.transport.abort() if abort else line.carry_out(line.session.stop(condition))
        if wanted:
            await asyncio.wait([line.gone for line in wanted])
        return {"streams": len(wanted)}

    async def disconnect(self) -> Json:
        """Be gone: no listening, no streams."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in (*self._tasks, *self._opening.values()):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._opening.values(), return_exceptions=True)
        return await self.close()

    async def _line(self, domain: str) -> Line:
        """Our stream to a domain; opened if there is none. Raises PeerError with how far it came."""
        for line in self._lines:
            if line.session.initiator and line.session.ready and line.session.remote == domain:
                return line
        if self._server is None:
            raise UserError(f"peer {self.name!r} is gone: peer_listen first")
        if domain not in self._opening:
            task = self._opening[domain] = asyncio.create_task(self._dial(domain))
            task.add_done_callback(lambda _: self._opening.pop(domain, None))
        return await asyncio.shield(self._opening[domain])

    async def _dial(self, domain: str) -> Line:
        host, port = await located(domain, self._dns)
        line = Line(self, s2s.Session(self._domain, remote=domain, initiator=True))
        try:
            await asyncio.get_running_loop().create_connection(lambda: line, host, port)
        except OSError as error:
            raise PeerError(f"no stream to {domain}: {host} port {port}: {error.strerror or error}") from error
        try:
            await asyncio.wait((line.opened, line.gone), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            line.transport.abort()
            raise
        if not line.opened.done():
            raise PeerError(f"no stream to {domain}: {line.gone.result()}; it was {line.session.step}")
        return line

    def heard(self, line: Line, stanza: ET.Element) -> None:
        """A stanza came on a stream of the other's."""
        xml = s2s.text(stanza)
        kinds = {key: stanza.get(key) for key in ("type", "id", "from", "to")}
        name = stanza.tag.rpartition("}")[2]
        self.tell("peer_stanza", name=name, xml=xml, stream=line.session.id, **kinds)
        if self._pings and kinds["type"] == "get" and stanza.find(f"{{{PING}}}ping") is not None:
            answer = ET.Element("iq", {"type": "result"})
            for key, value in (("from", kinds["to"]), ("to", kinds["from"]), ("id", kinds["id"])):
                answer.set(key, value or "")
            self._spawn(self.send(xml=s2s.text(answer, "")))

    def tell(self, event: str, **fields: Any) -> None:
        """Tell an event of this peer."""
        self._tell({"event": event, "device": self.name, "at": time.time(), **fields})

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        async def guarded() -> None:
            try:
                await work
            except LabError as error:
                self.tell("trouble", message=str(error))

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what its lines ask --------------------------------------------------------------------------------------

    def session(self) -> s2s.Session:
        """A new stream from somebody."""
        return s2s.Session(self._domain)

    def context(self, line: Line) -> ssl.SSLContext:
        """TLS for a stream of ours or of theirs."""
        return self._ours if line.session.initiator else self._theirs

    def joined(self, line: Line) -> None:
        """A connection is there."""
        self._lines.add(line)

    def left(self, line: Line) -> None:
        """A connection is gone."""
        self._lines.discard(line)


def _context(protocol: int, certificate: str, key: str, authority: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    if protocol == ssl.PROTOCOL_TLS_SERVER:
        context.verify_mode = ssl.CERT_OPTIONAL  # who shows none is offered no EXTERNAL
    return context


def _host(jid: str) -> str:
    """The domain part of a JID (RFC 7622 section 3.2)."""
    return jid.partition("/")[0].rpartition("@")[2]
