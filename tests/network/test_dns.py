"""The name server: wire format, views, failures, over real UDP and TCP on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass

import dns.asyncquery
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import pytest

from lab.errors import MissingError
from lab.network.dns import DROP, LOG_SIZE, DnsServer, Resolver, Views
from lab.plan.model import Plan
from lab.plan.zones import Answer, Record, Zones
from lab.topology.spec import Unlinked
from tests.network import labs


@dataclass
class Running:
    plan: Plan
    resolver: Resolver

    async def ask(self, view: int, name: str, rtype: str, *, tcp: bool = False) -> dns.message.Message:
        """Ask as the server number `view` does."""
        query = dns.message.make_query(name, rtype)
        address, port = self.plan.servers[view].dns
        how = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        return await how(query, address, timeout=2, port=port, source="127.0.0.1")


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    plan = labs.plan(names=("a", "b", "c"), links=(("a", "b"),), unlinked=Unlinked.NXDOMAIN)
    zones = Zones(plan)
    resolver = Resolver(zones)
    server = DnsServer(resolver, Views(plan, zones).of)
    for address, port in {one.dns for one in plan.servers}:
        await server.listen(address, port)
    yield Running(plan, resolver)
    server.close()


def answers(message: dns.message.Message) -> list[str]:
    return [rdata.to_text() for rrset in message.answer for rdata in rrset]


@pytest.mark.parametrize("tcp", [False, True])
async def test_each_port_has_its_own_view(running: Running, tcp: bool) -> None:
    name = "_xmpp-server._tcp.b.test."
    linked, stranger = [await running.ask(view, name, "SRV", tcp=tcp) for view in (0, 2)]
    assert answers(linked) == [f"0 0 20000 {running.plan.services}."]
    assert linked.answer[0].ttl == 0
    assert (stranger.rcode(), answers(stranger)) == (dns.rcode.NXDOMAIN, [])
    assert [soa.to_text().split()[-1] for soa in stranger.authority[0]] == ["0"]  # negative answers are not kept


async def test_an_address_literal_is_its_own_address_and_empty_for_other_types(running: Running) -> None:
    assert answers(await running.ask(0, "127.91.0.2.", "A")) == ["127.91.0.2"]
    empty = await running.ask(0, "127.91.0.2.", "AAAA")
    assert (empty.rcode(), answers(empty)) == (dns.rcode.NOERROR, [])


async def test_questions_are_remembered_and_bounded(running: Running) -> None:
    await running.ask(1, "_XMPPS-server._tcp.A.test.", "SRV")
    query = running.resolver.queries[-1]
    assert (query.asker, query.name, query.type, query.rcode) == ("b", "_xmpps-server._tcp.a.test", "SRV", "NXDOMAIN")
    assert running.resolver.totals == {"NXDOMAIN": 1}
    assert running.resolver.queries.maxlen == LOG_SIZE


async def test_an_override_goes_before_the_zones(running: Running) -> None:
    key = ("a", "b.test", "A")
    running.resolver.overrides[key] = Answer("NOERROR", (Record("A", "127.1.2.3"),))
    assert answers(await running.ask(0, "b.test.", "A")) == ["127.1.2.3"]
    assert answers(await running.ask(1, "b.test.", "A")) == [running.plan.servers[1].address]
    running.resolver.overrides["*", "b.test", "A"] = Answer("SERVFAIL")
    assert (await running.ask(1, "b.test.", "A")).rcode() == dns.rcode.SERVFAIL
    assert answers(await running.ask(0, "b.test.", "A")) == ["127.1.2.3"]


def resolver() -> Resolver:
    return Resolver(Zones(labs.plan()))


def ask(one: Resolver, query: dns.message.Message, asker: str | None = "a") -> dns.message.Message:
    wire = one.respond(query.to_wire(), asker, 512)
    assert wire is not None
    return dns.message.from_wire(wire)


def test_strangers_are_refused_and_remembered_as_such() -> None:
    one = resolver()
    assert ask(one, dns.message.make_query("b.test.", "A"), None).rcode() == dns.rcode.REFUSED
    assert one.queries[-1].asker == "?"


def test_others_of_the_lab_see_addresses_and_no_server_records() -> None:
    one = resolver()
    assert answers(ask(one, dns.message.make_query("b.test.", "A"), "")) != []
    assert answers(ask(one, dns.message.make_query("_xmpp-server._tcp.b.test.", "SRV"), "")) == []


def test_views_know_servers_members_and_strangers() -> None:
    plan = labs.plan(network="127.130")
    views = Views(plan, Zones(plan))
    assert views.of("127.0.0.1", plan.servers[1].dns[1]) == "b"
    assert views.of("127.130.12.1", 9999) == ""
    assert views.of("10.0.0.1", 9999) is None


def test_other_opcodes_and_classes_are_turned_down() -> None:
    notify = dns.message.make_query("b.test.", "A")
    notify.set_opcode(dns.opcode.NOTIFY)
    assert ask(resolver(), notify).rcode() == dns.rcode.NOTIMP
    chaos = dns.message.make_query("version.bind.", "TXT", rdclass=dns.rdataclass.CH)
    assert ask(resolver(), chaos).rcode() == dns.rcode.REFUSED


def test_no_question_is_a_format_error() -> None:
    assert ask(resolver(), dns.message.Message()).rcode() == dns.rcode.FORMERR


def test_garbage_is_a_format_error_with_its_id() -> None:
    wire = resolver().respond(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00garbage!", "a", 512)
    assert wire is not None
    response = dns.message.from_wire(wire)
    assert (response.id, response.rcode()) == (0x1234, dns.rcode.FORMERR)


@pytest.mark.parametrize("wire", [b"", b"\x12", b"\x12\x34\x81\x80" + bytes(8), b"\x12\x34\x81\x80\x00\x01" + bytes(8)])
def test_scraps_and_answers_get_nothing(wire: bytes) -> None:
    assert resolver().respond(wire, "a", 512) is None


def test_a_failure_of_ours_is_a_server_failure(caplog: pytest.LogCaptureFixture) -> None:
    one = resolver()
    one.overrides["*", "b.test", "A"] = Answer("NOERROR", (Record("A", "no address"),))
    assert ask(one, dns.message.make_query("b.test.", "A")).rcode() == dns.rcode.SERVFAIL
    assert "no answer for b.test A asked by a" in caplog.text
    assert one.totals == {"SERVFAIL": 1}


def test_a_dropped_question_gets_nothing_and_is_remembered() -> None:
    one = resolver()
    one.overrides["*", "b.test", "A"] = Answer(DROP)
    assert one.respond(dns.message.make_query("b.test.", "A").to_wire(), "a", 512) is None
    assert one.queries[-1].rcode == DROP


def test_what_is_too_large_for_a_datagram_is_cut_and_comes_whole_over_tcp() -> None:
    one = resolver()
    many = tuple(Record("A", f"127.1.{n}.1") for n in range(60))
    one.overrides["*", "b.test", "A"] = Answer("NOERROR", many)
    query = dns.message.make_query("b.test.", "A").to_wire()
    cut, whole = (one.respond(query, "a", limit) for limit in (512, None))
    assert cut is not None
    assert whole is not None
    assert dns.message.from_wire(cut).flags & dns.flags.TC
    assert len(answers(dns.message.from_wire(whole))) == 60


async def test_tcp_takes_questions_in_scraps_and_several_at_once(running: Running) -> None:
    reader, writer = await asyncio.open_connection(*running.plan.servers[0].dns)
    message = dns.message.make_query("a.test.", "A").to_wire()
    framed = len(message).to_bytes(2, "big") + message
    for scrap in (framed[:1], framed[1:9], framed[9:] + framed):
        writer.write(scrap)
        await asyncio.sleep(0.01)
    for _ in range(2):
        size = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), 30), "big")
        assert answers(dns.message.from_wire(await reader.readexactly(size))) == [running.plan.servers[0].address]
    writer.close()


async def test_a_port_that_is_taken_is_named() -> None:
    plan = labs.plan()
    zones = Zones(plan)
    address, port = plan.servers[0].dns
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with taken:
        taken.bind((address, port))
        with pytest.raises(MissingError, match=rf"name server cannot listen on {address} port {port}: .* in use"):
            await DnsServer(Resolver(zones), Views(plan, zones).of).listen(address, port)
