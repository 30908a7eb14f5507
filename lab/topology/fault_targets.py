"""What a declared fault may act on in a topology, and which of that by lot: pure functions."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from itertools import combinations, product

from lab.declarations.fault import FaultTarget
from lab.declarations.faults import FAULTS
from lab.declarations.manifest import StartedBy
from lab.errors import NotApplicable, UserError
from lab.topology.spec import FaultMode, FaultSpec, Link, Server, Topology

Target = tuple[str, ...]  # a server, the two ends of a link, or a person's name and server


def find_targets(spec: FaultSpec, topology: Topology) -> list[Target]:
    """Servers (one name each) or links (two) that a fault's selector finds, in the topology's order.

    Raises UserError for a direct link, which nothing of the lab's is on, and where nothing is found, and NotApplicable
    for a partition of servers that are not linked.
    """
    declared = _declaration(spec)
    if declared is FaultTarget.PEOPLE:
        if not spec.selector:
            raise UserError("names nobody: write `selector: {person: alice@a}`, a name and a server")
        return [split_person(name) for name in spec.selector["person"]]
    if declared is FaultTarget.SERVERS:
        fitting = [server for server in topology.servers if _server_fits(spec, server)]
        foreign = [server.name for server in fitting if server.manifest.started_by is not StartedBy.LAB]
        if foreign and "server" in spec.selector:
            raise UserError(f"{', '.join(foreign)}: the lab does not run it, and so cannot {spec.action} it")
        found: list[Target] = [(server.name,) for server in fitting if server.name not in foreign]
        if not found:
            raise UserError(f"no server of this topology fits: it has {', '.join(_softwares(topology))}")
        return found
    if declared is FaultTarget.GROUPS:
        links = _between_groups(spec, topology)
        if not links:
            raise NotApplicable(f"{spec.action}: no two servers of different groups are linked")
    else:
        links = [link for link in topology.links if _link_fits(spec, link, topology)]
        if not links:
            raise UserError("no link of this topology fits")
    if direct := [f"{link.a} - {link.b}" for link in links if link.direct]:
        raise UserError(
            f"{', '.join(direct)}: nothing of the lab's is on a direct link: leave `direct` out of the topology"
        )
    return [_ends(spec, link) for link in links]


def faulty_links(specs: Sequence[FaultSpec], topology: Topology) -> set[frozenset[str]]:
    """The links that any of these faults may act on, by the names of their ends. Raises as `find_targets` does."""
    of_links = (spec for spec in specs if _declaration(spec) in (FaultTarget.GROUPS, FaultTarget.LINKS))
    return {frozenset(target) for spec in of_links for target in find_targets(spec, topology)}


def directions(spec: FaultSpec, targets: Sequence[Target]) -> list[Target]:
    """The directions of links that a fault acts on; servers and people stay as they are."""
    if _declaration(spec) in (FaultTarget.SERVERS, FaultTarget.PEOPLE):
        return list(targets)
    wanted = spec.fields.get("direction", "both")
    found: list[Target] = []
    for a, b in targets:
        found += [(a, b)] if wanted in ("both", "to") else []
        found += [(b, a)] if wanted in ("both", "from") else []
    return found


def draw(spec: FaultSpec, found: Sequence[Target], by_lot: random.Random) -> list[Target]:
    """Those of the targets that a fault acts on this time, in their order."""
    count = len(found)
    share = math.ceil(count * spec.value / 100)
    wanted = {
        FaultMode.ALL: count,
        FaultMode.ONE: 1,
        FaultMode.FIXED: min(spec.value, count),
        FaultMode.FIXED_PERCENT: share,
        FaultMode.RANDOM_MAX_PERCENT: by_lot.randint(1, max(1, share)),
    }[spec.mode]
    return list(found) if wanted >= count else [found[place] for place in sorted(by_lot.sample(range(count), wanted))]


def list_servers(spec: FaultSpec, targets: Iterable[Target]) -> tuple[str, ...]:
    """The names of the servers that are, or belong to, these targets."""
    people = _declaration(spec) is FaultTarget.PEOPLE
    return tuple(dict.fromkeys(name for target in targets for name in (target[1:] if people else target)))


def split_person(text: str) -> Target:
    """The name and the server of a person that a selector names: `alice@a`. Raises UserError."""
    name, _, server = text.rpartition("@")
    if not name or not server:
        raise UserError(f"{text!r} is no person: write a name and a server, alice@a")
    return name, server


def _declaration(spec: FaultSpec) -> FaultTarget | None:
    return next(one.target for one in FAULTS.values() if one.name == spec.action)


def _ends(spec: FaultSpec, link: Link) -> Target:
    """The two ends: in the order of the selector, if that names them."""
    named = spec.selector.get("link")
    if named is not None:
        return named
    chosen = spec.selector.get("server", spec.selector.get("group", ()))
    return (link.b, link.a) if link.b in chosen and link.a not in chosen else (link.a, link.b)


def _between_groups(spec: FaultSpec, topology: Topology) -> list[Link]:
    """Links between two groups; the servers that are in none are one more."""
    groups = [tuple(group) for group in spec.fields["groups"]]
    named = {name for group in groups for name in group}
    rest = tuple(server.name for server in topology.servers if server.name not in named)
    groups += [rest] if rest else []
    pairs = [pair for one, other in combinations(groups, 2) for pair in product(one, other)]
    return [link for pair in pairs if (link := topology.link(*pair)) is not None]


def _server_fits(spec: FaultSpec, server: Server) -> bool:
    """A server fits if every key of the selector names it."""
    return all(_named(key, names, server) for key, names in spec.selector.items())


def _link_fits(spec: FaultSpec, link: Link, topology: Topology) -> bool:
    """A link fits if every key does: its two ends, one of its servers, or a group that it leaves."""
    servers = [topology.server(name) for name in (link.a, link.b)]
    for key, names in spec.selector.items():
        inside = [_named(key, names, server) for server in servers]
        fits = {"link": all(inside), "group": any(inside) and not all(inside)}.get(key, any(inside))
        if not fits:
            return False
    return True


def _named(key: str, names: tuple[str, ...], server: Server) -> bool:
    if key == "software":
        return bool({server.software, f"{server.software}@{server.version}"} & set(names))
    return server.name in names


def _softwares(topology: Topology) -> list[str]:
    return sorted({f"{server.software}@{server.version}".rstrip("@") for server in topology.servers})
