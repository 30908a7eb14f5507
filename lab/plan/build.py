"""From a topology and the facts of a runtime to the plan: a pure function, the same for both runtimes.

Addresses are counted from the network's first: services +2, the i-th server (topology order, from 0) +256+i, agents
from +3072 on. A link has two relays, one a direction, on consecutive ports of the services' address; a direct link
has none. Of the two ends of a link the first in topology order that can pings the other when it starts: a ping and
its answer cross the link both ways (XEP-0199).
"""

from __future__ import annotations

import ipaddress

from lab.declarations.domains import a_labels
from lab.declarations.manifest import StartedBy
from lab.errors import UserError
from lab.plan.layout import DNS_BASE_PORT, DNS_PORT, RELAY_BASE_PORT
from lab.plan.model import CertificateRequest, Plan, RelayPlan, RuntimeFacts, ServerPlan
from lab.servers import get_software
from lab.servers.software import Blueprint
from lab.topology.features import find_problems
from lab.topology.spec import Authentication, Server, Tls, Topology, Unlinked

SERVICES = 2  # offsets from the network's first address
SERVERS = 256
AGENTS = 3072

#: `sun_path` of a Unix socket holds 108 bytes with the closing zero (man 7 unix).
LONGEST_SOCKET_PATH = 107

HIGHEST_PORT = 65535


def build(topology: Topology, facts: RuntimeFacts) -> Plan:
    """The whole plan. Raises UserError for what cannot be planned, all reasons at once."""
    problems = _problems(topology, facts)
    if problems:
        raise UserError("\n".join(problems))
    addresses = {server.name: _server_address(facts, i, server) for i, server in enumerate(topology.servers)}
    return Plan(
        topology=topology,
        facts=facts,
        services=compute_address(facts.network, SERVICES),
        servers=tuple(_server(topology, facts, i, addresses) for i in range(len(topology.servers))),
        relays=_relays(topology, addresses),
    )


def compute_address(network: str, count: int) -> str:
    """The address `count` after the network's first."""
    return str(ipaddress.ip_network(network).network_address + count)


def _problems(topology: Topology, facts: RuntimeFacts) -> list[str]:
    return [*_size_problems(topology, facts), *_server_problems(topology, facts)]


def _size_problems(topology: Topology, facts: RuntimeFacts) -> list[str]:
    problems = []
    room = min(AGENTS, ipaddress.ip_network(facts.network).num_addresses - 1) - SERVERS
    if len(topology.servers) > room:
        problems.append(f"{len(topology.servers)} servers, but a lab has addresses for {max(room, 0)}: use fewer")
    links = (HIGHEST_PORT - RELAY_BASE_PORT + 1) // 2
    if len(topology.links) > links:
        problems.append(f"{len(topology.links)} links, but a lab has relay ports for {links}: use fewer")
    return problems


def _server_problems(topology: Topology, facts: RuntimeFacts) -> list[str]:
    problems = []
    for server in topology.servers:
        where = f"server {server.name}: "
        try:
            kind = server.manifest
            kind.version(server.version)
        except UserError as error:
            problems.append(where + str(error))
            continue
        problems += [where + problem for problem in find_problems(server)]
        path = f"{find_folder(facts, server.name)}/{kind.socket}"
        if kind.socket and len(path.encode()) > LONGEST_SOCKET_PATH:
            problems.append(
                f"{where}the path of its socket, {path}, has {len(path.encode())} bytes and no socket can have more "
                f"than {LONGEST_SOCKET_PATH}: set XMPPLAB_HOME to a shorter folder or choose a shorter name"
            )
        if server.tls is Tls.OFF and server.authentication is Authentication.EXTERNAL:
            problems.append(f"{where}with `tls: off` there is no certificate to check: set `authentication: dialback`")
        if server.manifest.started_by is StartedBy.PERSON:
            problems += [where + problem for problem in _address_problems(server, facts)]
    return problems


def _address_problems(server: Server, facts: RuntimeFacts) -> list[str]:
    """A lab is closed: what a person runs is on this machine's loopback, and not where the lab's own servers are."""
    endpoint = _endpoint(server)
    if endpoint is None:
        return ["software `external` needs an address, as in `address: 127.0.0.1:5269`"]
    address = ipaddress.ip_address(endpoint[0])
    if address.version != 4 or not address.is_loopback:
        return [f"{address} is not on this machine's loopback, and a lab stays inside: use one of 127.0.0.0/8"]
    if address in ipaddress.ip_network(facts.network):
        return [f"{address} is in the lab's network, {facts.network}: use another, such as 127.0.0.1"]
    return []


def _endpoint(server: Server) -> tuple[str, int] | None:
    """Where a server run by the person listens for other servers; None if that is not said well."""
    host, _, port = (server.address or "").rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    return (str(address), int(port)) if port.isdecimal() and 0 < int(port) <= HIGHEST_PORT else None


def _server_address(facts: RuntimeFacts, index: int, server: Server) -> str:
    endpoint = _endpoint(server) if server.manifest.started_by is StartedBy.PERSON else None
    return endpoint[0] if endpoint else compute_address(facts.network, SERVERS + index)


def find_s2s_endpoint(server: Server, address: str) -> tuple[str, int]:
    """Where other servers reach it without a relay."""
    endpoint = _endpoint(server) if server.manifest.started_by is StartedBy.PERSON else None
    return endpoint or (address, server.manifest.ports.server)


def find_folder(facts: RuntimeFacts, name: str) -> str:
    """A server's folder, as it sees it."""
    return facts.folders.format(server=name)


def _server(topology: Topology, facts: RuntimeFacts, index: int, addresses: dict[str, str]) -> ServerPlan:
    server = topology.servers[index]
    hosts, probes = server.hosts, _probes(topology, server)
    blueprint = Blueprint(
        spec=server,
        address=addresses[server.name],
        folder=find_folder(facts, server.name),
        prefix=dict(facts.prefixes).get(f"{server.software_name}@{server.version}", ""),
        modules=facts.modules.format(software=server.software, version=server.version),
        dns=_dns(facts, index),
        allow=_allow(topology, server),
        probes=tuple(topology.server(name).domain for name in probes),
        libraries=facts.libraries,
        outbound=topology.unlinked is Unlinked.NOT_ALLOWED,
        round_trip=max((link.round_trip for link in topology.links if server.name in link.pair), default=0.0),
        runtime=facts.runtime,
    )
    rendered = get_software(server.software).render(blueprint)
    return ServerPlan(
        spec=server,
        address=blueprint.address,
        folder=blueprint.folder,
        hosts=hosts,
        certificate=CertificateRequest(
            a_labels(server.domain),
            tuple(map(a_labels, server.certificate_names or hosts)),
            server.certificate,
            clients=not server.proves_domain and server.manifest.two_certificates,
            address=blueprint.address if server.manifest.started_by is StartedBy.LAB else "",
        ),
        files=rendered.files,
        command=rendered.command,
        environment=rendered.environment,
        dns=blueprint.dns,
        probes=probes,
        memory=server.manifest.memory,
    )


def _dns(facts: RuntimeFacts, index: int) -> tuple[str, int]:
    """Servers are distinguished by their own address where they have one each, else by the port that they query."""
    port = DNS_PORT if facts.runtime == "containers" else DNS_BASE_PORT + index
    return (compute_address(facts.network, SERVICES), port)


def _allow(topology: Topology, server: Server) -> tuple[str, ...]:
    """Every host name of every server that it has a link with, also of one that must not come up."""
    neighbours = (topology.server(name) for name in topology.linked(server.name))
    return tuple(host for each in neighbours for host in each.hosts)


def _probes(topology: Topology, server: Server) -> tuple[str, ...]:
    """Names of the neighbours that it pings: those before it in topology order, or unable to ping themselves.

    Servers are started in that order: the later one asks, because a neighbour that does not listen yet costs both a
    stream. Never a scripted one: nobody listens there until a script does.
    """
    if not server.manifest.instrumented:
        return ()
    order = {each.name: i for i, each in enumerate(topology.servers)}

    def mine(other: str) -> bool:
        kind = topology.server(other).manifest
        later = not kind.instrumented or order[other] < order[server.name]
        return later and kind.started_by is not StartedBy.SCRIPT

    return tuple(filter(mine, topology.neighbours(server.name)))


def _relays(topology: Topology, addresses: dict[str, str]) -> tuple[RelayPlan, ...]:
    relays = []
    for i, link in enumerate(topology.links):
        if link.direct:
            continue
        directions = ((link.a, link.b, link.forward), (link.b, link.a, link.backward))
        for k, (source, target, conditions) in enumerate(directions, start=2 * i):
            to = find_s2s_endpoint(topology.server(target), addresses[target])
            relays.append(RelayPlan(source, target, RELAY_BASE_PORT + k, to, conditions))
    return tuple(relays)
