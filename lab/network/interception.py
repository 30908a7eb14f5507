"""Connections whose stanzas are handed to rules: the acting part of stanza_stream, _counts and _rules.

They are of a link, or of a client to its own server.

An intercepted connection ends TLS at both sides. It shows each side the other's certificate, both issued by the lab's
authority, and verifies nobody: verdicts on certificates stay the servers' own. It has no state machine of its own for
negotiation. Header, features, SASL and dialback pass byte for byte; three things are done: after `<proceed/>` it
performs the handshakes at both sides (RFC 6120 section 5.4.3), after SASL's `<success/>` it expects new streams
(section 6.4.6), and it changes `h` of XEP-0198 (lab/network/stanza_counts.py), also where a stream is resumed.

The conditions of the link hold for whatever passes, but not for the two handshakes. Direct TLS (XEP-0368) is not used
between servers of a lab.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.network.relay import Flow, Relay, RelayedConnection, Side, StreamEnd
from lab.network.stanza_counts import CountedStanza, StanzaCounts
from lab.network.stanza_rules import CountedRule, Direction, StanzaDecision, decide, find_people
from lab.network.stanza_stream import PartKind, RelayedStanza, StreamPart, StreamSplitter

log = logging.getLogger(__name__)

STANZAS = frozenset({"message", "presence", "iq"})
MANAGEMENT = "urn:xmpp:sm:3"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
MOST_KEPT = 1000  # streams whose counts are kept
LONGEST_HOLD = 10.0  # seconds that a stanza which is to be overtaken waits for another one
_H = re.compile(rb"""(\bh=)(["'])(\d+)\2""")
_ID = re.compile(rb"""\b(?:prev)?id=(["'])(.*?)\1""")

Rules = Callable[[Direction], Iterable[CountedRule]]
#: Called with each stanza that rules acted on.
Report = Callable[[Direction, RelayedStanza, StanzaDecision], None]


@dataclass(frozen=True)
class TlsEnds:
    """What an intercepted connection shows to each side, and the name that it asks the far side for."""

    near: ssl.SSLContext  # a server's, with the certificate of the server behind the relay
    far: ssl.SSLContext  # a client's, with the caller's certificate if it has one
    name: str

    @classmethod
    def load(cls, caller: Path | None, server: Path, name: str) -> TlsEnds:
        """From the two certificates (`.crt`, with `.key` beside); a client has none. Raises OSError."""
        near, far = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        near.load_cert_chain(server, server.with_suffix(".key"))
        far.check_hostname, far.verify_mode = False, ssl.CERT_NONE
        if caller is not None:
            far.load_cert_chain(caller, caller.with_suffix(".key"))
        return cls(near, far, name)


class KeptCounts:
    """The counts of streams that may be resumed on another connection, by the id that the server gave them."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[StanzaCounts, StanzaCounts]] = {}

    def keep(self, name: bytes, near: StanzaCounts, far: StanzaCounts) -> None:
        """Keep those of what the client (near) and the server (far) send. The oldest are forgotten."""
        self._kept[name] = near, far
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    def find(self, name: bytes) -> tuple[StanzaCounts, StanzaCounts] | None:
        """Those of a stream, None if it was not counted."""
        return self._kept.get(name)


class InterceptedConnection(RelayedConnection):
    """A relayed connection, and what is done to the stanzas of both sides."""

    near: InterceptedSide
    far: InterceptedSide

    def __init__(self, relay: Relay, tls: TlsEnds, rules: Rules, report: Report, kept: KeptCounts) -> None:
        super().__init__(relay)
        self._tls, self._rules, self._report, self._kept = tls, rules, report, kept
        self._resuming = b""  # the id of the stream that the caller wants to resume
        source, target = relay.plan.source, relay.plan.target
        self.near = InterceptedSide(self, (source, target), sends_into=self._out, writes_from=self._back)
        self.far = InterceptedSide(self, (target, source), sends_into=self._back, writes_from=self._out)
        self._waiting = True  # for the far side, or for the handshakes

    # -- the connection --------------------------------------------------------------------------------------------

    def _carry(self) -> None:
        """Both sides can be read from and written to; what they sent meanwhile comes first."""
        self._waiting = False
        super()._carry()
        for side in (self.near, self.far):
            early, side.early = bytes(side.early), bytearray()
            if early:
                self.receive(side, early)

    def other(self, side: Side) -> InterceptedSide:
        """The side across."""
        return self.far if side is self.near else self.near

    def finish(self) -> None:
        """End in order: TLS cannot stay open one way."""
        self.close()

    def _ended(self, ending: StreamEnd, sink: Side) -> None:
        if ending is StreamEnd.RESET:
            sink.reset()
        else:
            sink.close()

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
        found, name = _H.search(part.raw), _ID.search(part.raw)
        h = int(found[3]) if found else 0
        told = h
        if part.name in ("enable", "enabled"):
            side.counts = StanzaCounts()
            if name and self.near.counts and self.far.counts:
                self._kept.keep(name[2], self.near.counts, self.far.counts)
        elif part.name == "a" and (counts := self.other(side).counts):
            told = counts.acknowledge(h)
        elif part.name in ("resume", "resumed") and name:
            self._resuming = name[2]
            told = self._resumed_counts(side, h).resume(h)
        elif part.name == "failed":
            self.near.counts = self.far.counts = None
        return part.raw if found is None else part.raw[: found.start(3)] + str(told).encode() + part.raw[found.end(3) :]

    def _resumed_counts(self, side: InterceptedSide, h: int) -> StanzaCounts:
        """Counts of what the other side of one that has received `h` stanzas sends, on a stream that goes on."""
        other = self.other(side)
        kept = self._kept.find(self._resuming)
        if kept is not None:
            other.counts = kept[0] if other is self.near else kept[1]
        else:  # it was opened without the relay: nothing was changed until now
            other.counts = StanzaCounts(h)
        if self.near.counts and self.far.counts:
            self._kept.keep(self._resuming, self.near.counts, self.far.counts)
        return other.counts

    def _receive_stanza(self, side: InterceptedSide, stanza: RelayedStanza) -> None:
        counted = side.counts.receive() if side.counts else None
        decision = decide(self._rules(side.direction), stanza, side.direction)
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
        elif (held := side.held.get(people := find_people(side.direction, stanza))) is None:
            side.held[people] = send
            asyncio.get_running_loop().call_later(LONGEST_HOLD, self.release, side, send)
        else:
            send.now()
            self.release(side, held)

    def release(self, side: InterceptedSide, held: _Sending | None = None) -> None:
        """Send on the stanzas that a side waits with: that one if it still does, all if none is given."""
        for people, waiting in list(side.held.items()):
            if held in (None, waiting):
                del side.held[people]
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


class InterceptedSide(Side):
    """One side of an intercepted connection, and the stream that its peer sends."""

    def __init__(
        self, connection: InterceptedConnection, direction: Direction, *, sends_into: Flow, writes_from: Flow
    ) -> None:
        super().__init__(connection, sends_into=sends_into, writes_from=writes_from)
        self._intercepted, self.direction = connection, direction
        self.splitter = StreamSplitter()
        self.early = bytearray()  # received before it could be carried
        self.counts: StanzaCounts | None = None  # of what this side sends, once stream management is enabled
        self.held: dict[tuple[str, str], _Sending] = {}  # which are to be overtaken, by sender and receiver

    def data_received(self, data: bytes) -> None:
        """The peer sent bytes. They are acknowledged at once, as by a relay that delays."""
        self.acknowledge()
        self._intercepted.receive(self, data)

    def eof_received(self) -> bool:
        """The peer sends nothing more: TLS cannot stay open one way."""
        return False


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
