"""The capture file: blocks and packets are read here by the rules of their specifications, not by the writer's code."""

import ipaddress
import struct
from dataclasses import replace

import pytest

from lab.checks import judge
from lab.errors import UserError
from lab.history.events import ServerSaw
from lab.metrics.record import RunRecord
from lab.report.formats.pcapng import render
from tests.report.test_summary import story

SHB, IDB, NRB, EPB = 0x0A0D0D0A, 1, 4, 6


@pytest.fixture(scope="module")
def told():
    told = story().finish()
    told.events = [replace(one, stanza=stanza(one)) if isinstance(one, ServerSaw) else one for one in told.events]
    return told


def stanza(saw):
    return f"<{saw.name} id='{saw.id}'><body>ünïcödé</body></{saw.name}>"


def capture(told):
    record = RunRecord(tuple(told.events), told.plan)
    return render(record, judge(record))


def blocks(data):
    while data:
        kind, length = struct.unpack("<II", data[:8])
        assert length % 4 == 0
        assert struct.unpack("<I", data[length - 4 : length]) == (length,)
        yield kind, data[8 : length - 4]
        data = data[length:]


def add_up(data):
    """RFC 1071: over data that holds its checksum, the sum is all ones."""
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def packets(data):
    for kind, body in blocks(data):
        if kind == EPB:
            number, high, low, length, original = struct.unpack("<IIIII", body[:20])
            assert length == original
            yield number, (high << 32 | low) / 1e6, body[20 : 20 + length]


def segment(packet):
    source, target = packet[12:16], packet[16:20]
    assert struct.unpack(">H", packet[2:4]) == (len(packet),)
    ports = struct.unpack(">HH", packet[20:24])
    number, acknowledged = struct.unpack(">II", packet[24:32])
    return (source, ports[0]), (target, ports[1]), number, acknowledged, packet[33], packet[40:]


def test_each_server_is_an_interface_with_what_it_handled(told):
    data = capture(told)
    names = [body[12 : 12 + struct.unpack("<H", body[10:12])[0]].decode() for kind, body in blocks(data) if kind == IDB]
    assert names == ["island", "home", "public"]
    seen = {
        name: [
            one[5].decode() for one in (segment(packet) for number, _, packet in packets(data) if names[number] == name)
        ]
        for name in names
    }
    for name in names:
        expected = [stanza(saw) for saw in told.events if isinstance(saw, ServerSaw) and saw.server == name]
        assert expected
        assert sorted(text for text in seen[name] if text and "<stream:stream" not in text) == sorted(expected)


def test_checksums_are_right_and_sequence_numbers_go_on(told):
    following = {}
    for number, _, packet in packets(capture(told)):
        assert add_up(packet[:20]) == 0xFFFF
        assert add_up(packet[12:20] + struct.pack(">BBH", 0, 6, len(packet) - 20) + packet[20:]) == 0xFFFF
        source, target, at, acknowledged, flags, payload = segment(packet)
        assert at == following.get((number, source, target), 0)
        following[number, source, target] = at + len(payload) + bool(flags & 2)
        if flags & 0x10:
            assert acknowledged == following[number, target, source]


def test_the_time_is_when_the_server_handled_it(told):
    times = {round(saw.at * 1e6) for saw in told.events if isinstance(saw, ServerSaw)}
    assert {round(at * 1e6) for _, at, _ in packets(capture(told))} == times


def test_addresses_have_the_names_of_servers_and_clients(told):
    data = next(body for kind, body in blocks(capture(told)) if kind == NRB)
    found = {}
    while data[:2] != b"\0\0":
        length = struct.unpack("<H", data[2:4])[0]
        found[data[8 : 4 + length - 1].decode()] = ipaddress.IPv4Address(data[4:8])
        data = data[4 + length + -length % 4 :]
    assert {"island.test", "home.test", "public.test"} <= set(found)
    assert all(found[f"{name}.test"] in ipaddress.ip_network("192.0.2.0/24") for name in ("island", "home", "public"))
    assert len(set(found.values())) == len(found)


def test_a_stanza_that_is_longer_than_a_packet_is_in_several(told):
    long = story().finish()
    long.events = [
        replace(one, stanza=f"<message>{'x' * 100_000}</message>") if isinstance(one, ServerSaw) else one
        for one in long.events
    ]
    data = capture(long)
    longest = max(len(packet) for _, _, packet in packets(data))
    assert longest < 65536
    wanted = sum(len(one.stanza) for one in long.events if isinstance(one, ServerSaw))
    texts = [segment(packet)[5] for _, _, packet in packets(data)]
    assert sum(len(text) for text in texts if b"<stream:stream" not in text) == wanted


def test_a_run_without_whole_stanzas_is_refused():
    told = story().finish()
    told.events = [replace(one, stanza="") if isinstance(one, ServerSaw) else one for one in told.events]
    with pytest.raises(UserError, match="no server of this run reported whole stanzas"):
        capture(told)
