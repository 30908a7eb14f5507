"""What the lab's DNS answers whom."""

from dataclasses import replace

import pytest

from lab.plan.build import build
from lab.plan.layout import REFUSED_PORT, UNREACHABLE_PORT
from lab.plan.zones import Answer, Zones, look_up
from lab.topology.spec import Unlinked
from tests.plan.test_build import CONTAINERS, PROCESSES, island


def zones(unlinked: Unlinked = Unlinked.NOT_ALLOWED, **more) -> Zones:
    return Zones(build(island(unlinked=unlinked, **more), PROCESSES))


def srv(zones: Zones, asker: str, host: str) -> tuple[str, list[str]]:
    found = zones.answer(asker, f"_xmpp-server._tcp.{host}", "SRV")
    return found.rcode, [record.value for record in found.records]


@pytest.mark.parametrize("host", ["home.test", "conference.home.test", "upload.HOME.test."])
def test_a_link_leads_to_its_relay(host):
    assert srv(zones(), "island", host) == ("NOERROR", ["0 0 20000 127.91.0.2."])
    assert srv(zones(), "public", host) == ("NOERROR", ["0 0 20002 127.91.0.2."])


def test_a_direct_link_and_the_own_names_lead_to_the_server():
    links = tuple(replace(link, direct=True) for link in island().links)
    assert srv(zones(links=links), "island", "home.test") == ("NOERROR", ["0 0 5269 127.91.1.1."])
    assert srv(zones(links=links), "home", "outside.test") == ("NOERROR", ["0 0 7269 127.0.0.1."])
    assert srv(zones(), "home", "conference.home.test") == ("NOERROR", ["0 0 5269 127.91.1.1."])


UNLINKED = [
    (Unlinked.NOT_ALLOWED, ("NOERROR", ["0 0 5269 127.91.1.2."])),
    (Unlinked.NXDOMAIN, ("NXDOMAIN", [])),
    (Unlinked.REFUSED, ("NOERROR", [f"0 0 {REFUSED_PORT} 127.91.0.2."])),
    (Unlinked.UNREACHABLE, ("NOERROR", [f"0 0 {UNREACHABLE_PORT} 127.91.0.2."])),
]


@pytest.mark.parametrize(("kind", "expected"), UNLINKED)
def test_without_a_link_the_promise_is_kept(kind, expected):
    assert srv(zones(kind), "island", "conference.public.test") == expected


def test_a_name_that_must_not_exist_has_no_address_either():
    """A server falls back to the address where there is no SRV record (RFC 6120 section 3.2.2)."""
    hidden = zones(Unlinked.NXDOMAIN)
    assert hidden.answer("island", "public.test", "A").rcode == "NXDOMAIN"
    assert hidden.answer("island", "_xmpp-client._tcp.public.test", "SRV").rcode == "NXDOMAIN"
    assert zones(Unlinked.NOT_ALLOWED).answer("island", "public.test", "A").records == (("A", "127.91.1.2"),)


def test_no_address_leads_around_a_relay():
    """A server that got no answer about the SRV record falls back to the address, and would stay beside its relay."""
    assert zones().answer("home", "public.test", "A") == Answer("NOERROR")
    assert zones(Unlinked.REFUSED).answer("island", "public.test", "A") == Answer("NOERROR")
    assert zones().answer("home", "home.test", "A").records == (("A", "127.91.1.1"),)
    assert zones().answer("", "public.test", "A").records == (("A", "127.91.1.2"),), "clients go to the server"
    links = tuple(replace(link, direct=True) for link in island().links)
    assert zones(links=links).answer("island", "home.test", "A").records == (("A", "127.91.1.1"),)


def test_direct_tls_is_never_offered():
    assert zones().answer("island", "_xmpps-server._tcp.home.test", "SRV").rcode == "NXDOMAIN"


def test_addresses_written_as_names_have_themselves_as_address():
    assert zones().answer("island", "127.91.0.2.", "A").records == (("A", "127.91.0.2"),)
    for rtype in ("AAAA", "SRV", "TXT"):
        found = zones().answer("island", "127.91.0.2", rtype)
        assert (found.rcode, found.records) == ("NOERROR", ())


@pytest.mark.parametrize("name", ["home.test", "_tcp.home.test", "_xmpp-server._tcp.home.test"])
def test_a_name_that_exists_is_empty_for_other_types(name):
    found = zones().answer("island", name, "AAAA")
    assert (found.rcode, found.records) == ("NOERROR", ())


@pytest.mark.parametrize(
    "name", ["nobody.test", "x.home.test", "_xmpp-server._tcp.nobody.test", "example.org", "", "."]
)
def test_what_is_not_in_the_lab_does_not_exist(name):
    assert zones().answer("island", name, "A").rcode == "NXDOMAIN"


def test_clients_find_their_server():
    assert zones().answer("", "_xmpp-client._tcp.home.test", "SRV").records == (("SRV", "0 0 5222 home.test."),)


def test_strangers_learn_no_way_between_servers():
    assert srv(zones(), "", "home.test") == ("NXDOMAIN", [])
    assert srv(zones(), "nobody", "home.test") == ("NXDOMAIN", [])


def test_askers_are_told_apart_by_port_or_by_address():
    assert zones().asker("127.0.0.1", 5401) == "home"
    assert zones().asker("127.91.1.1", 53) == ""
    contained = Zones(build(island(), CONTAINERS))
    assert contained.asker("198.18.17.1", 53) == "home"
    assert contained.asker("198.18.17.200", 53) == ""


def test_one_answer_without_zones():
    plan = build(island(), PROCESSES)
    assert look_up(plan, "island", "home.test", "A") == Zones(plan).answer("island", "home.test", "A")


def test_an_internationalized_domain_has_its_ascii_form_in_dns_and_certificates() -> None:
    topology = island()
    letters = {"home": "b\u00fccher.test"}
    servers = tuple(replace(one, domain=letters.get(one.name, one.domain)) for one in topology.servers)
    plan = build(replace(topology, servers=servers), PROCESSES)
    found = srv(Zones(plan), "island", "xn--bcher-kva.test")
    assert found == srv(zones(), "island", "home.test") and found[1]
    request = plan.server("home").certificate
    assert request.domain == "xn--bcher-kva.test" and all(name.isascii() for name in request.names)
    assert plan.server("home").spec.domain == plan.server("home").hosts[0] == "b\u00fccher.test"
