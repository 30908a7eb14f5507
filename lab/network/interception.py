"""Connections of a link whose stanzas are handed to rules: the acting part of stanza_stream, _counts and _rules.

An intercepted connection ends TLS at both sides. It shows each side the other's certificate, both issued by the lab's
authority, and verifies nobody: verdicts on certificates stay the servers' own. It has no state machine of its own for
negotiation. Header, features, SASL and dialback pass byte for byte; three things are done: after `<proceed/>` it
performs the handshakes at both sides (RFC 6120 section 5.4.3), after SASL's `<success/>` it expects new streams
(section 6.4.6), and it changes `h` of XEP-0198 (lab/network/stanza_counts.py).

The conditions of the link hold for whatever passes, but not for the two handshakes. Direct TLS (XEP-0368) is not used
between servers of a lab.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.network.relay import RESET, Cut, Flow, Relay, StreamEnd
from lab.network.stanza_counts import CountedStanza, StanzaCounts
from lab.network.stanza_rules import CountedRule, StanzaDecision, decide
from lab.network.stanza_stream import PartKind, RelayedStanza, StreamPart, StreamSplitter

log = logging.getLogger(__name__)

STANZAS = frozenset({"message", "presence", "iq"})
MANAGEMENT = "urn:xmpp:sm:3"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
LONGEST_HOLD = 5.0  # seconds that a stanza which is to be overtaken waits for another one
_H = re.compile(rb"""(\bh=)(["'])(\d+)\2""")

Direction = tuple[str, str]  # names of the servers: source and target
Rules = Callable[[Direction], Iterable[CountedRule]]
#: Called with each stanza that rules acted on.
Report = Callable[[Direction, RelayedStanza, StanzaDecision], None]


@dataclass(frozen=True)
class TlsEnds:
    """What an intercepted connection shows to each side, and the name that it asks the far side for."""

    near: ssl.SSLContext  # a server's, with the certificate of the server behind the relay
    far: ssl.SSLContext  # a client's, with the caller's certificate
    name: str

    @classmethod
    def load(cls, caller: Path, server: Path, name: str) -> TlsEnds:
        """From the two certificates (`.crt`, with `.key` beside). Raises OSError."""
        near, far = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        near.load_cert_chain(server, server.with_suffix(".key"))
        far.check_hostname, far.verify_mode = False, ssl.CERT_NONE
        far.load_cert_chain(caller, caller.with_suffix(".key"))
        return cls(near, far, name)


class InterceptedConnection:
    """A caller (near), the server that it reached (far), and what is done to the stanzas of both."""

    def __init__(self, relay: Relay, tls: TlsEnds, rules: Rules, report: Report) -> None:
        self._relay, self._tls, self._rules, self._report = relay, tls, rules, report
        out = Flow(relay.out, relay.sent, lambda ending: self._ended(ending, self.far))
        back = Flow(relay.back, relay.answered, lambda ending: self._ended(ending, self.near))
        source, target = relay.plan.source, relay.plan.target
        self.near = InterceptedSide(self, (source, target), sends_into=out)
        self.far = InterceptedSide(self, (target, source), sends_into=back)
        self._waiting = True  # for the far side, or for the handshakes
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the connection --------------------------------------------------------------------------------------------

    def connected(self, side: InterceptedSide) -> None:
        """A side has its transport: dial the server for the caller; once both are connected, carry what they send."""
        side.transport.pause_reading()
        if side is self.near:
            self._relay.connections += 1
            if self._relay.cut_by is Cut.RESET:
                side.reset()
                return
            self._relay.open.add(self)
            self.stop(self._relay.cut_by is not None and self._relay.cut_by.stops_bytes)
            self._start(self._dial())
        elif self.near.alive:
            self._carry()
        else:
            self.far.reset()

    async def _dial(self) -> None:
        try:
            await self._relay.target.dial(lambda: self.far)
        except OSError as error:
            self._relay.failures += 1
            log.info("%s to %s: not reached: %s", *self.near.direction, error or "no answer in time")
            self.near.reset()

    def _carry(self) -> None:
        """Both sides can be read from and written to; what they sent meanwhile comes first."""
        self._waiting = False
        self.near.sends_into.connect(self.near.transport, self.far.transport)
        self.far.sends_into.connect(self.far.transport, self.near.transport)
        for side in (self.near, self.far):
            early, side.early = bytes(side.early), bytearray()
            if early:
                self.receive(side, early)

    def lost(self, side: InterceptedSide, error: Exception | None) -> None:
        """A side is closed, by us or by its peer: the other one is ended after what was sent before."""
        other = self.other(side)
        other.sends_into.discard()
        if other.alive:
            side.sends_into.finish(StreamEnd.FINISHED if error is None else StreamEnd.RESET)
            return
        self._relay.open.discard(self)
        for task in self._tasks:
            task.cancel()

    def other(self, side: InterceptedSide) -> InterceptedSide:
        """The side across."""
        return self.far if side is self.near else self.near

    def stop(self, stopped: bool) -> None:
        """Let no byte pass, or let them pass again."""
        self.near.sends_into.stop(stopped)
        self.far.sends_into.stop(stopped)

    def finish(self) -> None:
        """End in order."""
        self.close()

    def reset(self) -> None:
        """End at once: both sides get a reset, bytes in transit are lost."""
        self.near.sends_into.discard()
        self.far.sends_into.discard()
        self.near.reset()
        self.far.reset()

    def close(self) -> None:
        """End in order: both sides get the end of the connection; bytes in transit are lost."""
        self.near.sends_into.discard()
        self.far.sends_into.discard()
        self.near.close()
        self.far.close()

    def _ended(self, ending: StreamEnd, sink: InterceptedSide) -> None:
        if ending is StreamEnd.RESET:
            sink.reset()
        else:
            sink.close()

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what is sent on it ----------------------------------------------------------------------------------------

    def receive(self, side: InterceptedSide, data: bytes) -> None:
        """Bytes of a side: in the clear, whatever TLS there is."""
        if self._waiting:
            side.early += data
            return
        for part in side.splitter.feed(data):
            self._receive_part(side, part)

    def _receive_part(self, side: InterceptedSide, part: StreamPart) -> None:
        if part.kind is PartKind.ELEMENT and part.name in STANZAS:
            self._receive_stanza(side, RelayedStanza(side.splitter.header, part.raw))
            return
        raw = part.raw
        if part.default == MANAGEMENT:
            raw = self._manage(side, part)
        side.sends_into.receive(raw)
        if part.name == "proceed":
            self._waiting = True
            self.near.transport.pause_reading()
            self.far.transport.pause_reading()
            self._start(self._upgrade())
        elif part.name == "success" and part.default == SASL:
            self.near.splitter, self.far.splitter = StreamSplitter(), StreamSplitter()

    async def _upgrade(self) -> None:
        """TLS at both sides, once `<proceed/>` has been written."""
        await self.far.sends_into.drain()
        self.near.splitter, self.far.splitter = StreamSplitter(), StreamSplitter()
        loop = asyncio.get_running_loop()
        near, far = self.near, self.far
        try:
            near.transport, far.transport = await asyncio.gather(
                loop.start_tls(near.transport, near, self._tls.near, server_side=True),
                loop.start_tls(far.transport, far, self._tls.far, server_hostname=self._tls.name),
            )
        except OSError as error:  # a side that refuses a certificate says so in its log
            log.info("%s to %s: no TLS: %s", *near.direction, error)
            self.reset()
            return
        if near.alive and far.alive:
            self._carry()

    def _manage(self, side: InterceptedSide, part: StreamPart) -> bytes:
        """An element of XEP-0198. Counting begins behind a side's `<enable/>` or `<enabled/>` (section 4)."""
        if part.name in ("enable", "enabled"):
            side.counts = StanzaCounts()
        elif part.name == "failed":
            self.near.counts = self.far.counts = None
        counts, found = self.other(side).counts, _H.search(part.raw)
        if part.name != "a" or counts is None or found is None:
            return part.raw
        told = counts.acknowledge(int(found[3]))
        return part.raw[: found.start(3)] + str(told).encode() + part.raw[found.end(3) :]

    def _receive_stanza(self, side: InterceptedSide, stanza: RelayedStanza) -> None:
        counted = side.counts.receive() if side.counts else None
        decision = decide(self._rules(side.direction), stanza)
        if decision.acted:
            self._report(side.direction, stanza, decision)
        send = _Sending(side, decision.stanza.raw, decision.copies, counted)
        if not decision.copies:
            if side.counts and counted:
                side.counts.drop(counted)
        elif decision.delay:
            asyncio.get_running_loop().call_later(decision.delay, send.later)
        elif not decision.hold:
            send.now()
        elif side.held is None:
            side.held = send
            asyncio.get_running_loop().call_later(LONGEST_HOLD, self.release, side, send)
        else:
            send.now()
            self.release(side, side.held)

    def release(self, side: InterceptedSide, held: _Sending | None = None) -> None:
        """Send on the stanza that a side waits with, if it is that one or none is given."""
        waiting = side.held
        if waiting is not None and held in (None, waiting):
            side.held = None
            waiting.later()

    def send(self, stanza: bytes) -> None:
        """Send a stanza of the relay's own to the far side."""
        self.near.sends_into.receive(stanza)
        if self.near.counts:
            self.near.counts.write(None)

    @property
    def ready(self) -> bool:
        """Whether a stanza can be sent to the far side: its stream is open, and TLS is up."""
        return self.near.alive and self.far.alive and not self._waiting and bool(self.near.splitter.header)


class InterceptedSide(asyncio.Protocol):
    """One side of an intercepted connection, and the stream that its peer sends."""

    transport: Any  # asyncio.Transport once `alive` has been true

    def __init__(self, connection: InterceptedConnection, direction: Direction, *, sends_into: Flow) -> None:
        self._connection, self.direction, self.sends_into = connection, direction, sends_into
        self.alive = False
        self.splitter = StreamSplitter()
        self.early = bytearray()  # received before it could be carried
        self.counts: StanzaCounts | None = None  # of what this side sends, once stream management is enabled
        self.held: _Sending | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is connected."""
        self.transport, self.alive = transport, True
        self._connection.connected(self)

    def data_received(self, data: bytes) -> None:
        """The peer sent bytes. They are acknowledged at once, as by a relay that delays (lab/network/relay.py)."""
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self._connection.receive(self, data)

    def eof_received(self) -> bool:
        """The peer sends nothing more: TLS cannot stay open one way."""
        return False

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        self._connection.other(self).sends_into.pause_sink()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._connection.other(self).sends_into.resume_sink()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is closed: by us or the peer (no error), or reset by the peer."""
        self.alive = False
        self._connection.lost(self, exc)

    def close(self) -> None:
        """Close in order: what was written is still sent."""
        if self.alive:
            self.transport.close()

    def reset(self) -> None:
        """Close with RST."""
        if self.alive:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()


@dataclass(eq=False)
class _Sending:
    """Copies of one stanza that are to be sent on."""

    side: InterceptedSide
    raw: bytes
    copies: int
    counted: CountedStanza | None

    def now(self) -> None:
        """Send them on."""
        for _ in range(self.copies):
            self.side.sends_into.receive(self.raw)
            if self.side.counts and self.counted:
                self.side.counts.write(self.counted)

    def later(self) -> None:
        """Send them on after others, and ask for an acknowledgement: the sender's own request was answered before."""
        if not self.side.alive:
            return
        self.now()
        if self.side.counts:
            self.side.sends_into.receive(f"<r xmlns='{MANAGEMENT}'/>".encode())
