"""Prepares a lab for a load: its topology, accounts, rosters and endpoints.

A link without conditions is direct, since a relay would be a part of what is measured. Servers send no feed of their
stanzas, which would cost them about as much as the messages. A lab that is up is not changed: the run's remarks say how
it differs. Users have accounts on the servers on which the lab can create them, and on those that list them when they
start (`software: ./mine.yaml`): such a list has as many users of a load as people, `users` of the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from lab.declarations.load_users import load_user_names
from lab.declarations.manifest import Accounts
from lab.declarations.servers import INSTALLED
from lab.errors import UserError
from lab.lifecycle.lab import Lab
from lab.load.model.spec import Endpoint, Load
from lab.load.workload.population import Population
from lab.load.workload.recipients import Recipients
from lab.load.workload.traffic import MIXES, apply_mix, parse_traffic
from lab.plan.model import Plan
from lab.runtime import lab_record as state
from lab.servers import get_software
from lab.topology.fault_targets import faulty_links
from lab.topology.spec import Feed, Server, Topology

#: Accounts or rosters in one request to a server.
BATCH = 1000


def adapt_topology(topology: Topology, users: int = 0) -> Topology:
    """The topology for a load of so many users, see the module. Links with conditions or faults keep their relays."""
    broken = faulty_links(topology.faults, topology)
    links = (
        replace(
            link, direct=link.direct or (link.forward.neutral and link.backward.neutral and link.pair not in broken)
        )
        for link in topology.links
    )
    servers = (replace(server, feed=Feed.OFF) for server in list_load_users(topology, users).servers)
    return replace(topology, servers=tuple(servers), links=tuple(links))


def list_load_users(topology: Topology, users: int) -> Topology:
    """The topology with lists of accounts that are long enough for a load of so many users, see the module."""
    each = -(-users // max(1, sum(server.hosts_users for server in topology.servers)))
    servers = (
        replace(server, users=max(server.users, each)) if _reads_list(server) and server.hosts_users else server
        for server in topology.servers
    )
    return replace(topology, servers=tuple(servers))


def _reads_list(server: Server) -> bool:
    return server.manifest.accounts is Accounts.LISTED


def check_accounts(topology: Topology, load: Load) -> None:
    """Check that the accounts of a load can be had on servers that read a list of them. Raises UserError."""
    population, servers = Population(load), {server.name: server for server in topology.servers}
    listed = {
        endpoint.server: population.count_users(number)
        for number, endpoint in enumerate(load.endpoints)
        if _reads_list(servers[endpoint.server])
    }
    for name, needed in listed.items():
        if needed > (has := servers[name].users):
            raise UserError(
                f"the load has {needed} users on {name}, which has a list of {has}: give it `users: {needed}` in the "
                f"topology, or start a lab for the load with -t"
            )
    if listed and any(part.kind.needs_contacts for part in parse_traffic(load.traffic).parts):
        raise UserError(
            f"{load.traffic} needs contacts, and the lab cannot write rosters on {_some(list(listed))}: choose other "
            f"traffic, or `users: 0` in the topology, so that nobody is there"
        )


def find_endpoints(plan: Plan, security: str = "starttls", *, listed: bool = True) -> tuple[Endpoint, ...]:
    """Where users log in, in the topology's order; without `listed` not where a server reads a list of its accounts.

    Raises UserError if no server can have any.
    """
    found = tuple(
        Endpoint(spec.name, spec.domain, one.address, _port(spec, security), plan.topology.neighbours(spec.name))
        for one in plan.servers
        if (spec := one.spec).hosts_users and (listed or not _reads_list(spec))
    )
    if not found:
        raise UserError(f"{plan.topology.name}: no server can have users: a load needs one of {', '.join(INSTALLED)}")
    return found


def trusting(lab: Lab, where: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """The same endpoints, with the certificates of servers that present a wrong one to clients."""
    authority = lab.authority
    trusted = {one.server: lab.trusted(one.server) for one in where}
    return tuple(
        replace(one, trusted=trusted[one.server]) if trusted[one.server] != authority else one for one in where
    )


def _port(server: Server, security: str) -> int:
    ports = server.manifest.ports
    return ports.client_tls if security == "direct" else ports.client


def build_load(lab: Lab, asked: Mapping[str, Any]) -> Load:
    """The load of a job on a lab; `asked` is the job's "load". Raises UserError for values that make no sense."""
    from lab.load.workload.arrivals import parse_arrivals

    given: dict[str, Any] = {"users": 2 * len(lab.plan.servers), **asked}
    where = trusting(lab, find_endpoints(lab.plan, given.get("security", "starttls")))
    load = Load(endpoints=where, password=lab.password, authority=lab.authority, **given)
    if load.traffic in MIXES and "arrivals" not in asked:
        load = apply_mix(load.traffic, load)
    parse_traffic(load.traffic)
    check_accounts(lab.plan.topology, load)
    # Workers may run where the file of a replay is not: they get its times.
    return replace(load, arrivals=parse_arrivals(load.arrivals).portable)


async def make_accounts(lab: Lab, load: Load) -> None:
    """Create the accounts load1 … loadN on every server that has no list of them; they can log in once this returns.

    Raises PeerError if a server refuses.
    """
    population = Population(load)

    async def on(number: int, server: str) -> None:
        names = load_user_names(population.count_users(number))
        for at in range(0, len(names), BATCH):
            await make_accounts_on(lab, server, names[at : at + BATCH])

    async with asyncio.TaskGroup() as group:
        for number, endpoint in enumerate(load.endpoints):
            group.create_task(on(number, endpoint.server))


async def make_accounts_on(lab: Lab, server: str, names: Sequence[str]) -> None:
    """Create accounts of a load on a server, unless it reads a list, which has them. Raises PeerError."""
    if not _reads_list(lab.plan.server(server).spec):
        await lab.create_accounts(server, names)


async def empty_archives(lab: Lab, load: Load) -> None:
    """Empty the archives of a load's users on servers for which a full archive makes messages expensive. PeerError.

    A message costs ejabberd 24.12 a third more after 80 messages per user, and ten times as much after some thousand.
    """
    population = Population(load)
    async with asyncio.TaskGroup() as group:
        for number, endpoint in enumerate(load.endpoints):
            names = load_user_names(population.count_users(number))
            operations = get_software(lab.plan.server(endpoint.server).spec.software).forget(names)
            group.create_task(lab.operate(endpoint.server, operations))


def is_down(lab: Lab) -> bool:
    """Whether the lab was taken down meanwhile: then that is the cause of all other errors."""
    record = state.LabRecord.read(lab.layout)
    return record is None or record.phase != state.READY


def plan_rosters(load: Load) -> dict[str, dict[str, list[str]]]:
    """The contacts that a load's users need, by server and address; {} if they need none."""
    population, known = Population(load), Recipients(load).contacts
    domains = [endpoint.domain for endpoint in load.endpoints]
    addresses = [f"{population.get_name(user)}@{domains[population.get_server(user)]}" for user in range(len(known))]
    found: dict[str, dict[str, list[str]]] = {}
    for user, others in enumerate(known):
        of = found.setdefault(load.endpoints[population.get_server(user)].server, {})
        of[addresses[user]] = [addresses[other] for other in others]
    return found


async def make_rosters(lab: Lab, load: Load) -> None:
    """Subscribe users to each other's presence, which they get once they log in. Raises PeerError."""

    async def on(server: str, of: dict[str, list[str]]) -> None:
        names = {address.partition("@")[0]: contacts for address, contacts in of.items()}
        for at in range(0, len(names), BATCH):
            await lab.write_rosters(server, dict(islice(names.items(), at, at + BATCH)))

    async with asyncio.TaskGroup() as group:
        for server, of in plan_rosters(load).items():
            group.create_task(on(server, of))


def list_remarks(plan: Plan) -> list[str]:
    """Remarks of a run on the lab that it used, a sentence each."""
    topology = plan.topology
    said = [_links(topology)] if topology.links else []
    with_feed = [
        server.name for server in topology.servers if server.feed is not Feed.OFF and server.manifest.instrumented
    ]
    if with_feed:
        sends = "sends a feed of its stanzas" if len(with_feed) == 1 else "send a feed of their stanzas"
        said.append(f"{_some(with_feed)} {sends}, which costs time: servers alone would be faster")
    without_users = [server.name for server in topology.servers if not server.hosts_users]
    if without_users:
        said.append(f"no users on {_some(without_users)}: the lab creates no accounts there")
    return said


def _links(topology: Topology) -> str:
    relayed = [f"{link.a} - {link.b}" for link in topology.links if not link.direct]
    direct = len(topology.links) - len(relayed)
    if not relayed:
        return f"links are direct ({direct}): the lab has no relay between servers, bytes are not counted"
    text = f"relayed links: {_some(relayed)}"
    return f"{text}; {direct} are direct" if direct else f"{text}; none is direct"


def _some(names: list[str]) -> str:
    """The first five names, and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
