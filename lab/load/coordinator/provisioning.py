"""A lab made ready for a load: its topology, its accounts, its endpoints.

Rules: a link without conditions is direct, for a relay would be a part of what is measured; servers tell nothing of
what they see, which costs them about as much as the messages. What a lab that is up has otherwise stays as it is, and
is said. Users live on servers that the lab can create accounts on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from lab.declarations.manifest import Accounts
from lab.declarations.servers import INSTALLED
from lab.errors import UserError
from lab.lifecycle.lab import Lab
from lab.load.model.spec import Endpoint, Load
from lab.load.workload.population import Population
from lab.load.workload.recipients import Recipients
from lab.plan.model import Plan
from lab.runtime import record as state
from lab.servers import software
from lab.topology.spec import Feed, Server, Topology

#: Accounts in one request to a server.
AT_ONCE = 1000


def for_load(topology: Topology) -> Topology:
    """The topology as a load runs on it: see the module. Links that have conditions keep their relays."""
    links = (
        replace(link, direct=link.direct or (link.forward.neutral and link.backward.neutral)) for link in topology.links
    )
    servers = (replace(server, feed=Feed.OFF) for server in topology.servers)
    return replace(topology, servers=tuple(servers), links=tuple(links))


def endpoints(plan: Plan, security: str = "starttls") -> tuple[Endpoint, ...]:
    """Where users log in, in the topology's order. Raises UserError if no server can have any."""
    found = tuple(
        Endpoint(spec.name, spec.domain, one.address, _port(spec, security), plan.topology.neighbours(spec.name))
        for one in plan.servers
        if (spec := one.spec).manifest.accounts is Accounts.CREATED
    )
    if not found:
        raise UserError(f"{plan.topology.name}: no server can have users: a load needs one of {', '.join(INSTALLED)}")
    return found


def _port(server: Server, security: str) -> int:
    ports = server.manifest.ports
    return ports.client_tls if security == "direct" else ports.client


def load_on(lab: Lab, asked: Mapping[str, Any]) -> Load:
    """The whole load of a job's "load". Raises UserError for what makes no sense."""
    from lab.load.workload.arrivals import parse as parse_arrivals
    from lab.load.workload.traffic import MIXES, apply_mix
    from lab.load.workload.traffic import parse as parse_traffic

    given: dict[str, Any] = {"users": 2 * len(lab.plan.servers), **asked}
    where = endpoints(lab.plan, given.get("security", "starttls"))
    load = Load(endpoints=where, password=lab.password, authority=lab.authority, **given)
    if load.traffic in MIXES and "arrivals" not in asked:
        load = apply_mix(load.traffic, load)
    parse_traffic(load.traffic)
    # Workers may be where no file of ours is: they get its times.
    return replace(load, arrivals=parse_arrivals(load.arrivals).portable)


async def make_accounts(lab: Lab, load: Load) -> None:
    """Make load1 … loadN on every server; they can log in once this returns. Raises PeerError."""
    people = Population(load)

    async def on(number: int, server: str) -> None:
        names = [f"load{user}" for user in range(1, people.count(number) + 1)]
        for at in range(0, len(names), AT_ONCE):
            await lab.accounts(server, names[at : at + AT_ONCE])

    async with asyncio.TaskGroup() as group:
        for number, endpoint in enumerate(load.endpoints):
            group.create_task(on(number, endpoint.server))


async def forget(lab: Lab, load: Load) -> None:
    """Empty the archives of a load's people, where servers do more for a message the fuller they are. Raises PeerError.

    ejabberd 24.12 does a third more after 80 messages a person, and ten times as much after some thousand.
    """
    people = Population(load)
    async with asyncio.TaskGroup() as group:
        for number, endpoint in enumerate(load.endpoints):
            names = [f"load{user}" for user in range(1, people.count(number) + 1)]
            operations = software(lab.plan.server(endpoint.server).spec.software).forget(names)
            group.create_task(lab.operate(endpoint.server, operations))


def is_down(lab: Lab) -> bool:
    """Whether somebody ended it meanwhile: then that is the reason, and all else follows from it."""
    record = state.LabRecord.read(lab.layout)
    return record is None or record.phase != state.READY


def rosters(load: Load) -> dict[str, dict[str, list[str]]]:
    """The contacts that a load's people need, addresses by address and server; {} where nobody needs any."""
    people, known = Population(load), Recipients(load).contacts
    domains = [endpoint.domain for endpoint in load.endpoints]
    addresses = [f"{people.name(user)}@{domains[people.server_of(user)]}" for user in range(len(known))]
    found: dict[str, dict[str, list[str]]] = {}
    for user, others in enumerate(known):
        of = found.setdefault(load.endpoints[people.server_of(user)].server, {})
        of[addresses[user]] = [addresses[other] for other in others]
    return found


async def make_rosters(lab: Lab, load: Load) -> None:
    """Subscribe people to each other; they see each other once they log in. Raises PeerError."""

    async def on(server: str, of: dict[str, list[str]]) -> None:
        names = {address.partition("@")[0]: contacts for address, contacts in of.items()}
        for at in range(0, len(names), AT_ONCE):
            await lab.rosters(server, dict(islice(names.items(), at, at + AT_ONCE)))

    async with asyncio.TaskGroup() as group:
        for server, of in rosters(load).items():
            group.create_task(on(server, of))


def remarks(plan: Plan) -> list[str]:
    """What a run has to say of the lab it ran on, a sentence each."""
    topology = plan.topology
    said = [_links(topology)] if topology.links else []
    loud = [server.name for server in topology.servers if server.feed is not Feed.OFF and server.manifest.instrumented]
    if loud:
        said.append(f"{_some(loud)} tell what they see (feed), which costs them time: this is no figure of the servers")
    empty = [server.name for server in topology.servers if server.manifest.accounts is not Accounts.CREATED]
    if empty:
        said.append(f"nobody lives on {_some(empty)}: the lab makes no accounts there")
    return said


def _links(topology: Topology) -> str:
    relayed = [f"{link.a} - {link.b}" for link in topology.links if not link.direct]
    direct = len(topology.links) - len(relayed)
    if not relayed:
        return f"links are direct ({direct}): nothing of the lab's is between servers, bytes are not counted"
    text = f"relayed links: {_some(relayed)}"
    return f"{text}; {direct} are direct" if direct else f"{text}; none is direct"


def _some(names: list[str]) -> str:
    """Up to five of them, and how many more."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
