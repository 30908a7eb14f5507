"""From a topology to a plan."""

from dataclasses import replace

import pytest

from lab.declarations.links import Conditions
from lab.errors import UserError
from lab.plan.build import build
from lab.plan.model import RuntimeFacts
from lab.topology.spec import Authentication, Certificate, Link, Server, Tls, Topology, Unlinked

PROCESSES = RuntimeFacts(
    "processes",
    "127.91.0.0/16",
    "/labs/x/servers/{server}",
    (("prosody@13.0", "/trees/trixie"),),
    "/cache/modules/{software}",
    "x86_64-linux-gnu",
)
CONTAINERS = RuntimeFacts("containers", "198.18.16.0/20", "/lab")


def server(name: str, kind: str = "prosody", **more) -> Server:
    version = {"prosody": "13.0", "ejabberd": "24.12"}.get(kind, "")
    return Server(name, f"{name}.test", kind, version, **more)


def island(**more) -> Topology:
    """island - home - public, and home - outside run by the person."""
    servers = (
        server("island"),
        server("home"),
        server("public", "ejabberd", users=20),
        server("outside", "external", address="127.0.0.1:7269"),
    )
    links = (
        Link("island", "home"),
        Link("public", "home", forward=Conditions(0.04), direct=False),
        Link("home", "outside"),
    )
    return replace(Topology("hidden", "", servers, links), **more)


def test_addresses_follow_from_the_order():
    plan = build(island(), PROCESSES)
    assert plan.services == "127.91.0.2"
    assert [each.address for each in plan.servers] == ["127.91.1.0", "127.91.1.1", "127.91.1.2", "127.0.0.1"]
    assert [each.dns for each in plan.servers][:2] == [("127.91.0.2", 5400), ("127.91.0.2", 5401)]
    assert plan.server("home").folder == "/labs/x/servers/home"


def test_containers_ask_one_port():
    plan = build(island(), CONTAINERS)
    assert {each.dns for each in plan.servers} == {("198.18.16.2", 53)}
    assert plan.server("public").address == "198.18.17.2"
    assert plan.server("island").command[:4] == ("/bin/sh", "-c", 'umask 077 && exec "$@"', "sh")
    assert plan.server("island").command[4:] == ("prosody", "-F", "--config", "/lab/prosody.cfg.lua")


def test_each_direction_of_a_link_has_a_relay():
    plan = build(island(), PROCESSES)
    assert [(each.source, each.target, each.port) for each in plan.relays] == [
        ("island", "home", 20000), ("home", "island", 20001),
        ("public", "home", 20002), ("home", "public", 20003),
        ("home", "outside", 20004), ("outside", "home", 20005),
    ]  # fmt: skip
    there, back = plan.relay("public", "home"), plan.relay("home", "public")
    assert there.conditions.latency == 0.04 and back.conditions.neutral
    assert there.to == ("127.91.1.1", 5269)
    assert plan.relay("home", "outside").to == ("127.0.0.1", 7269)


def test_a_link_that_must_not_come_up_is_allowed_and_not_pinged():
    links = island().links
    plan = build(island(links=(replace(links[0], comes_up=False), *links[1:])), PROCESSES)
    assert plan.server("home").probes == build(island(), PROCESSES).server("home").probes[1:]
    assert "island" not in plan.server("home").probes
    assert len(plan.relays) == len(build(island(), PROCESSES).relays)
    text = "".join(file.text for file in plan.server("home").files)
    assert "island.test" in text, "its policy takes it: what keeps the link down is something else"


@pytest.mark.parametrize("kind", ["prosody", "ejabberd"])
def test_a_wrong_certificate_is_for_servers_where_the_software_can_have_two(kind):
    topology = Topology("one", "", (server("home", kind, certificate=Certificate.EXPIRED),), ())
    (plan,) = build(topology, PROCESSES).servers
    assert (plan.certificate.kind, plan.certificate.clients) == (Certificate.EXPIRED, kind == "prosody")
    assert ("client-certs/home.test.crt" in plan.files[0].text) == (kind == "prosody")


def test_a_direct_link_has_no_relay_and_keeps_the_others_ports():
    links = island().links
    plan = build(island(links=(replace(links[0], direct=True), *links[1:])), PROCESSES)
    assert plan.relay("island", "home") is None
    assert plan.relay("public", "home").port == 20002


def test_one_end_of_each_link_probes():
    plan = build(island(), PROCESSES)
    assert {each.spec.name: each.probes for each in plan.servers} == {
        "island": (), "home": ("island", "outside"), "public": ("home",), "outside": (),
    }  # fmt: skip


def test_an_end_that_cannot_probe_is_probed_even_if_it_stands_first():
    servers = (server("outside", "external", address="127.0.0.1:7269"), server("home"))
    plan = build(Topology("t", "", servers, (Link("outside", "home"),)), PROCESSES)
    assert plan.server("home").probes == ("outside",)


def test_nobody_probes_a_script_which_has_all_else_that_a_server_has():
    servers = (server("home"), server("peer", "scripted"), server("outside", "external", address="127.0.0.1:7269"))
    plan = build(Topology("t", "", servers, (Link("home", "peer"), Link("peer", "outside"))), PROCESSES)
    peer = plan.server("peer")
    assert {each.spec.name: each.probes for each in plan.servers} == {"home": (), "peer": (), "outside": ()}
    assert (peer.address, peer.dns, peer.command) == ("127.91.1.1", ("127.91.0.2", 5401), ())
    assert peer.certificate.domain == "peer.test"
    assert plan.relay("home", "peer").to == ("127.91.1.1", 5269)
    assert '"peer.test"' in plan.server("home").files[0].text


def test_policy_lists_every_host_name_of_the_neighbours():
    config = build(island(), PROCESSES).server("home").files[0].text
    for host in ("island.test", "conference.island.test", "pubsub.public.test", "outside.test"):
        assert f'"{host}"' in config
    assert '"public.test"' not in build(island(), PROCESSES).server("island").files[0].text


@pytest.mark.parametrize("kind", Unlinked)
def test_only_the_promise_not_allowed_has_a_policy_at_the_sender(kind):
    plan = build(island(unlinked=kind), PROCESSES)
    expected = "true" if kind is Unlinked.NOT_ALLOWED else "false"
    assert f"lab_allow_outbound = {expected}" in plan.server("island").files[0].text
    assert f"outbound: {expected}" in plan.server("public").files[0].text


def test_a_certificate_names_every_host():
    request = build(island(), PROCESSES).server("public").certificate
    assert request.domain == "public.test"
    assert request.names == ("public.test", "conference.public.test", "upload.public.test", "pubsub.public.test")


def test_a_hundred_servers_all_linked_are_planned_quickly():
    servers = tuple(server(f"s{i}") for i in range(100))
    links = tuple(Link(a.name, b.name) for i, a in enumerate(servers) for b in servers[i + 1 :])
    plan = build(Topology("mesh", "", servers, links), PROCESSES)
    assert len(plan.relays) == 9900
    assert sum(len(each.probes) for each in plan.servers) == 4950


BAD = [
    (island(servers=tuple(server(f"s{i}") for i in range(2817)), links=()), PROCESSES, "2817 servers.* 2816"),
    (island(servers=(server("a"),), links=()), replace(CONTAINERS, network="198.18.0.0/24"), "addresses for 0"),
    (island(servers=(server("a"),), links=()), replace(PROCESSES, folders="/" + "x" * 98 + "/{server}"), "112 bytes"),
    (island(servers=(server("a", tls=Tls.OFF),), links=()), PROCESSES, "set `authentication: dialback`"),
    (island(servers=(server("a", "external"),), links=()), PROCESSES, "needs an address"),
    (island(servers=(server("a", "external", address="host:1"),), links=()), PROCESSES, "needs an address"),
    (island(servers=(server("a", "external", address="10.0.0.1:1"),), links=()), PROCESSES, "use one of 127.0.0.0/8"),
    (island(servers=(server("a", "external", address="[::1]:1"),), links=()), PROCESSES, "::1 is not on this machine"),
    (island(servers=(server("a", "external", address="127.91.9.9:1"),), links=()), PROCESSES, "in the lab's network"),
    (island(servers=(replace(server("a"), version="0.9"),), links=()), PROCESSES, "use one of prosody@13.0"),
    (island(servers=(server("a", "openfire"),), links=()), PROCESSES, "server a: there is no server software"),
]


@pytest.mark.parametrize(("topology", "facts", "reason"), BAD, ids=[reason for *_, reason in BAD])
def test_what_cannot_be_planned_is_refused(topology, facts, reason):
    with pytest.raises(UserError, match=reason):
        build(topology, facts)


def test_all_reasons_come_at_once():
    servers = (server("a", tls=Tls.OFF), server("b", "openfire"), server("c", "external"))
    with pytest.raises(UserError) as caught:
        build(island(servers=servers, links=()), PROCESSES)
    assert len(str(caught.value).splitlines()) == 3


def test_dialback_without_tls_is_allowed():
    build(island(servers=(server("a", tls=Tls.OFF, authentication=Authentication.DIALBACK),), links=()), PROCESSES)
