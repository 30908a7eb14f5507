"""The lab's name server: wire format, views and a log of queries; the answers are worked out by lab/plan/zones.py.

Each server has a view of its own. Where all of them ask from one address (runtime `processes`) the view is chosen by
the port that was asked, and clients have one too; with containers by the client's address. Others on the lab's network
(agents, a person's own XMPP client) see names and client records; any other host gets REFUSED, and no name outside of
the lab is resolved (no recursion).

UDP and TCP (RFC 1035 section 4.2; RFC 7766). A malformed query gets FORMERR, another opcode NOTIMP, a failure
of the lab's SERVFAIL; a datagram too short to have an id, or one that is itself a response, gets no response.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from lab.declarations.effects import NameAnswer
from lab.errors import MissingError
from lab.plan.layout import DNS_CLIENT_PORT
from lab.plan.model import Plan
from lab.plan.zones import TTL, Answer, Record, Zones

log = logging.getLogger(__name__)

LOG_SIZE = 10_000  # queries kept: a ring of 100 servers sends about 1,000 until it is ready
TCP_PATIENCE = 10.0  # seconds that a TCP client may be idle (RFC 7766 section 6.2.3: a few seconds)
PLAIN_SIZE = 512  # bytes of a UDP answer without EDNS (RFC 1035 section 4.2.1)
# A negative answer has the time that it may be cached (RFC 2308): none, since links change while a lab runs.
NOT_CACHED = dns.rrset.from_text(".", 0, "IN", "SOA", ". . 0 0 0 0 0")
STRANGER = "?"  # in the log: a client without a view
DROP = "DROP"  # response code of an override that sends no response


@dataclass(frozen=True)
class Query:
    """A query that was received, and its answer."""

    number: int  # from 1, in the order of answering
    at: float  # seconds since the epoch
    asker: str  # server name, "" for others of the lab, "?" for any other host
    name: str
    type: str
    rcode: str
    records: tuple[Record, ...]


@dataclass
class Resolver:
    """Answers queries in wire format, without any input or output."""

    zones: Zones
    queries: deque[Query] = field(default_factory=lambda: deque(maxlen=LOG_SIZE))
    answered: int = 0  # the number of the last query in the log
    totals: Counter[str] = field(default_factory=Counter)  # by response code
    overrides: dict[tuple[str, str, str], Answer] = field(default_factory=dict)  # (asker or "*", name, type)
    faults: dict[tuple[str, str, str], NameAnswer] = field(default_factory=dict)  # (token, asker, target)

    _delay: float = 0.0  # of the answer that was worked out last

    def respond_late(self, wire: bytes, asker: str | None, limit: int | None = None) -> tuple[bytes | None, float]:
        """As `respond`, with the seconds after which the response is to be sent."""
        self._delay = 0.0
        return self.respond(wire, asker, limit), self._delay

    def respond(self, wire: bytes, asker: str | None, limit: int | None = None) -> bytes | None:
        """The response to a message, None if it gets none.

        `asker` is a server's name, "" for others of the lab, None for any other host. `limit` is the largest size in
        bytes for a client that offers no EDNS; without it (TCP) there is none.
        """
        try:
            query = dns.message.from_wire(wire)
        except dns.message.ShortHeader:
            return None
        except dns.exception.DNSException:
            return self._malformed(wire)
        if query.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(query, our_payload=4096)
        response.flags |= dns.flags.AA
        if not self._fill(query, response, asker):
            return None
        return _encode(response, None if limit is None else max(limit, query.payload))

    def _fill(self, query: dns.message.Message, response: dns.message.Message, asker: str | None) -> bool:
        if query.opcode() != dns.opcode.QUERY:
            return self._fail(response, dns.rcode.NOTIMP)
        if len(query.question) != 1:
            return self._fail(response, dns.rcode.FORMERR)
        question = query.question[0]
        if question.rdclass != dns.rdataclass.IN:
            return self._fail(response, dns.rcode.REFUSED)
        name = question.name.to_text(omit_final_dot=True).lower()
        rtype = dns.rdatatype.to_text(question.rdtype)
        try:
            answer = self.answer(asker, name, rtype)
            if answer.rcode != DROP:
                response.set_rcode(dns.rcode.from_text(answer.rcode))
                response.answer = [
                    dns.rrset.from_text(question.name, TTL, dns.rdataclass.IN, kind, text)
                    for kind, text in answer.records
                ]
                if not answer.records and answer.rcode in ("NOERROR", "NXDOMAIN"):
                    response.authority = [NOT_CACHED]
        except Exception:  # the edge of a server: one bad answer must not end it
            log.exception("no answer for %s %s asked by %s", name, rtype, asker)
            answer = Answer("SERVFAIL")
            response.set_rcode(dns.rcode.SERVFAIL)
        self._delay = answer.delay
        self.totals[answer.rcode] += 1
        self.answered += 1
        who = STRANGER if asker is None else asker
        self.queries.append(Query(self.answered, time.time(), who, name, rtype, answer.rcode, answer.records))
        return answer.rcode != DROP

    def answer(self, asker: str | None, name: str, rtype: str) -> Answer:
        """The answer to a question: the override that fits best, else that of a fault, else that of the zones."""
        if asker is None:
            return Answer("REFUSED")
        if self.overrides:
            for who in (asker, "*"):
                if (fixed := self.overrides.get((who, name, rtype))) is not None:
                    return fixed
        for fault in reversed(self.faults.values()):  # the later one wins
            if fault.asker == asker and (changed := self.zones.faulty_answer(fault, name, rtype)) is not None:
                return changed
        return self.zones.answer(asker, name, rtype)

    def _fail(self, response: dns.message.Message, rcode: dns.rcode.Rcode) -> bool:
        self.totals[dns.rcode.to_text(rcode)] += 1
        response.set_rcode(rcode)
        return True

    def _malformed(self, wire: bytes) -> bytes | None:
        if wire[2] & 0x80:  # a response (RFC 1035 section 4.1.1) never gets one
            return None
        self.totals["FORMERR"] += 1
        flags = (0x8000 | (int.from_bytes(wire[2:4], "big") & 0x7900) | dns.rcode.FORMERR).to_bytes(2, "big")
        return wire[:2] + flags + bytes(8)


def _encode(response: dns.message.Message, limit: int | None) -> bytes:
    try:
        return response.to_wire(max_size=limit or 65535)
    except dns.exception.TooBig:
        response.answer, response.authority = [], []
        response.flags |= dns.flags.TC  # the client asks again over TCP
        return response.to_wire()


class Views:
    """Which view a client gets: a server's own, that of the lab's other members, or none."""

    def __init__(self, plan: Plan, zones: Zones) -> None:
        self._zones = zones
        self._network = ip_network(plan.facts.network)

    def of(self, address: str, port: int) -> str | None:
        """The server that asks, by its address or the port it asked; "" for others of the lab, None for other hosts."""
        server = self._zones.asker(address, port)
        if server or port == DNS_CLIENT_PORT or ip_address(address) in self._network:
            return server
        return None


Chooser = Callable[[str, int], str | None]  # a client's address, the port it asked -> its view


class DnsServer:
    """The sockets of a resolver. `chooser` says who asks: a server, "" for others of the lab, None for other hosts."""

    def __init__(self, resolver: Resolver, chooser: Chooser) -> None:
        self.resolver, self._chooser = resolver, chooser
        self._transports: list[asyncio.DatagramTransport] = []
        self._servers: list[asyncio.Server] = []

    async def listen(self, address: str, port: int) -> None:
        """Answer there, over UDP and TCP. Raises MissingError if the address or port cannot be bound."""
        loop = asyncio.get_running_loop()
        views = _Views(self._chooser, port)
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self.resolver, views), local_addr=(address, port)
            )
            self._transports.append(transport)
            self._servers.append(await loop.create_server(lambda: _Stream(self.resolver, views), address, port))
        except OSError as error:
            raise MissingError(
                f"the lab's name server cannot listen on {address} port {port}: {error.strerror or error}; "
                "end what listens there, or give the lab another network"
            ) from error

    def close(self) -> None:
        """Close every socket."""
        for transport in self._transports:
            transport.close()
        for server in self._servers:
            server.close()


def _send_after(delay: float, send: Callable[..., None], *what: Any) -> None:
    if delay:
        asyncio.get_running_loop().call_later(delay, send, *what)
    else:
        send(*what)


@dataclass(frozen=True)
class _Views:
    chooser: Chooser
    port: int

    def of(self, address: str) -> str | None:
        return self.chooser(address, self.port)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver, views: _Views) -> None:
        self._resolver, self._views = resolver, views

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        response, delay = self._resolver.respond_late(data, self._views.of(addr[0]), PLAIN_SIZE)
        if response is not None:
            _send_after(delay, self._transport.sendto, response, addr)

    def error_received(self, exc: Exception) -> None:
        log.debug("a client has closed its socket: %s", exc)  # ICMP unreachable for a response


class _Stream(asyncio.Protocol):
    """Messages with two bytes of length before each (RFC 1035 section 4.2.2)."""

    def __init__(self, resolver: Resolver, views: _Views) -> None:
        self._resolver, self._views = resolver, views
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._asker = self._views.of(transport.get_extra_info("peername")[0])
        self._wait()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(TCP_PATIENCE, self._transport.abort)

    def data_received(self, data: bytes) -> None:
        self._timer.cancel()
        self._wait()
        self._rest += data
        while len(self._rest) >= 2:
            end = 2 + int.from_bytes(self._rest[:2], "big")
            if len(self._rest) < end:
                return
            message, self._rest = self._rest[2:end], self._rest[end:]
            response, delay = self._resolver.respond_late(message, self._asker)
            if response is not None:
                _send_after(delay, self._transport.write, len(response).to_bytes(2, "big") + response)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
