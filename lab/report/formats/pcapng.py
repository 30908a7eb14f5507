"""The stanzas of a run as a capture file, which opens in Wireshark: pcapng (draft-ietf-opsawg-pcapng).

What servers reported is plain XMPP; the packets around it are invented. Each server is an interface, named like it,
with what that server handled: a stanza between two servers is thus in the capture of either, as it would be if both
had captured. Each stream is a TCP connection (RFC 9293) with handshake and stream header; addresses are of the ranges
for documentation (RFC 5737), and the file names them. Nothing is said about retransmission, segments or TLS.
"""

from __future__ import annotations

import ipaddress
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.sax.saxutils import quoteattr

from lab.checks import Judgement
from lab.errors import UserError
from lab.history.events import ServerSaw
from lab.metrics.jids import get_domain
from lab.metrics.record import RunRecord

# Blocks, options and the link type (draft-ietf-opsawg-pcapng section 4; LINKTYPE_RAW: packets begin with IP).
_SECTION, _INTERFACE, _NAMES, _PACKET = 0x0A0D0D0A, 1, 4, 6
_BYTE_ORDER = 0x1A2B3C4D
_RAW = 101
_END_OF_OPTIONS, _COMMENT, _IF_NAME = b"\0\0\0\0", 1, 2
_IPV4_NAME = 1

_SERVERS = ipaddress.IPv4Network("192.0.2.0/24")  # TEST-NET-1 and 2 (RFC 5737); larger labs go on in 10/8
_OTHERS = ipaddress.IPv4Network("198.51.100.0/24")
_PORTS = {"c2s": 5222, "s2s": 5269}
_SYN, _ACK, _PUSH = 0x02, 0x10, 0x08
# Of the payload of one packet: IPv4's total length has 16 bits.
_PAYLOAD = 60_000


def render(record: RunRecord, judgement: Judgement) -> bytes:
    """The capture: whole, with a comment that says which run it is and what the verdict was.

    Raises UserError where no server reported a whole stanza: an empty capture would look as if nothing had been sent.
    """
    if not any(isinstance(event, ServerSaw) and event.stanza for event in record.events):
        raise UserError(
            "no server of this run reported whole stanzas, so that a capture would be empty: run it with `feed: full`"
        )
    return b"".join(_list_blocks(record, judgement))


def _list_blocks(record: RunRecord, judgement: Judgement) -> Iterator[bytes]:
    started = record.started
    about = f"xmpplab: {started.scenario if started else 'a run'} on {record.topology.name}: {judgement.sentence}"
    comments = _option(_COMMENT, about) + _option(_COMMENT, _INVENTED) + _END_OF_OPTIONS
    yield _block(_SECTION, struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1) + comments)
    names = [server.name for server in record.topology.servers]
    for name in names:
        yield _block(_INTERFACE, struct.pack("<HHI", _RAW, 0, 0) + _option(_IF_NAME, name) + _END_OF_OPTIONS)
    addresses = _Addresses(record)
    packets = list(_list_packets(record, addresses, {name: number for number, name in enumerate(names)}))
    yield _block(_NAMES, addresses.write() + struct.pack("<HH", 0, 0))
    yield from packets


_INVENTED = "Addresses, ports and TCP are invented; the payload is what the servers reported, without TLS."


class _Addresses:
    """Invented addresses: of servers by domain, of clients by full JID."""

    def __init__(self, record: RunRecord) -> None:
        self._given: dict[str, bytes] = {}
        self._free = {True: _SERVERS.hosts(), False: _OTHERS.hosts()}
        self._spare = ipaddress.IPv4Network("10.0.0.0/8").hosts()
        for server in record.topology.servers:
            self.of(server.domain, server=True)

    def of(self, who: str, *, server: bool) -> bytes:
        """The four bytes of somebody's address."""
        if who not in self._given:
            address = next(self._free[server], None) or next(self._spare)
            self._given[who] = address.packed
        return self._given[who]

    def write(self) -> bytes:
        """The records of a Name Resolution Block."""
        return b"".join(_pad(_IPV4_NAME, packed + who.encode() + b"\0") for who, packed in self._given.items())


@dataclass
class _Connection:
    """A TCP connection with the numbers of the next byte of each end."""

    client: bytes
    server: bytes
    ports: tuple[int, int]
    next_bytes: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    def write(self, flags: int, payload: bytes, *, from_client: bool) -> bytes:
        """One packet from one end to the other."""
        ends, ports = ((self.client, self.server), self.ports) if from_client else (
            (self.server, self.client), self.ports[::-1],
        )  # fmt: skip
        acknowledged = self.next_bytes[not from_client] if flags & _ACK else 0
        packet = _write_packet(ends, ports, self.next_bytes[from_client], acknowledged, flags, payload)
        self.next_bytes[from_client] += len(payload) + bool(flags & _SYN)
        return packet


def _list_packets(record: RunRecord, addresses: _Addresses, interfaces: dict[str, int]) -> Iterator[bytes]:
    """The packets in the order of time: each stream begins with its first stanza."""
    domains = {server.name: server.domain for server in record.topology.servers}
    connections: dict[tuple[str, str, str, bool], _Connection] = {}
    ports: dict[bytes, int] = defaultdict(lambda: 49152)
    for saw in sorted(record.of(ServerSaw), key=lambda event: event.at):
        if saw.stanza is None or saw.server not in domains:
            continue
        peer = saw.peer or _name_peer(saw)
        # Streams between servers go one way (RFC 6120 section 4.5); a client's is one for both.
        by_peer = saw.stream == "c2s" or saw.direction == "in"
        key = (saw.server, saw.stream, peer, by_peer)
        number = interfaces[saw.server]
        if key not in connections:
            own, other = domains[saw.server], addresses.of(peer, server=saw.stream == "s2s")
            ends = (other, addresses.of(own, server=True))
            client, server = ends if by_peer else ends[::-1]
            connections[key] = _Connection(client, server, (ports[client], _PORTS[saw.stream]))
            ports[client] += 1
            for packet in _open(connections[key], saw.stream, (peer, own) if by_peer else (own, peer)):
                yield _write_enhanced_packet(number, saw.at, packet)
        from_client = (saw.direction == "in") == by_peer
        payload = saw.stanza.encode(errors="backslashreplace")
        for start in range(0, len(payload), _PAYLOAD):
            packet = connections[key].write(_ACK | _PUSH, payload[start : start + _PAYLOAD], from_client=from_client)
            yield _write_enhanced_packet(number, saw.at, packet)


def _name_peer(saw: ServerSaw) -> str:
    """Who is at the other end, where the feed does not say: a server by its domain, a client by its JID."""
    jid = (saw.sender if saw.direction == "in" else saw.receiver) or "unknown"
    return get_domain(jid) if saw.stream == "s2s" else jid


def _open(connection: _Connection, stream: str, ends: tuple[str, str]) -> Iterator[bytes]:
    """The handshake and the stream headers (RFC 6120 section 4.7)."""
    yield connection.write(_SYN, b"", from_client=True)
    yield connection.write(_SYN | _ACK, b"", from_client=False)
    yield connection.write(_ACK, b"", from_client=True)
    namespace = "jabber:client" if stream == "c2s" else "jabber:server"
    for from_client in (True, False):
        sender, receiver = ends if from_client else ends[::-1]
        header = (
            f"<stream:stream xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
            f"from={quoteattr(sender)} to={quoteattr(receiver)}>"
        )
        yield connection.write(_ACK | _PUSH, header.encode(errors="backslashreplace"), from_client=from_client)


# -- bytes ------------------------------------------------------------------------------------------------------


def _write_packet(
    ends: tuple[bytes, bytes], ports: tuple[int, int], number: int, acknowledged: int, flags: int, payload: bytes
) -> bytes:
    """An IPv4 packet with a TCP segment (RFC 791 section 3.1, RFC 9293 section 3.1)."""
    tcp = struct.pack(">HHIIBBHHH", *ports, number & 0xFFFFFFFF, acknowledged & 0xFFFFFFFF, 5 << 4, flags, 0xFFFF, 0, 0)
    pseudo = b"".join(ends) + struct.pack(">BBH", 0, 6, len(tcp) + len(payload))
    tcp = tcp[:16] + _compute_checksum(pseudo + tcp + payload) + tcp[18:]
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp) + len(payload), 0, 0x4000, 64, 6, 0, *ends)
    return head[:10] + _compute_checksum(head) + head[12:] + tcp + payload


def _compute_checksum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071)."""
    words = struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack(">H", ~total & 0xFFFF)


def _write_enhanced_packet(interface: int, at: float, packet: bytes) -> bytes:
    microseconds = round(at * 1e6)
    head = struct.pack("<IIIII", interface, microseconds >> 32, microseconds & 0xFFFFFFFF, len(packet), len(packet))
    return _block(_PACKET, head + packet + b"\0" * (-len(packet) % 4))


def _option(code: int, text: str) -> bytes:
    return _pad(code, text.encode(errors="backslashreplace")[:0xFFFF])


def _pad(code: int, value: bytes) -> bytes:
    """An option or a record: its code, its length, and its value filled up to 32 bits."""
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length
