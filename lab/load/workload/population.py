"""The users of a load: where they live, which room each is in, and who is in whose contact list.

User u (from 0) lives on server u modulo the number of servers, as load1, load2, ... Worker k of n owns the users whose
number is k modulo n. Where n and the number of servers share a factor, a worker has users of some servers only: all
users still send, and each server still gets its part, since the workers together have everybody. Each worker deals its
n-th of the rate over those of its own users who have somebody to write to.

Contacts are a seeded graph of Holme and Kim (2002): degrees follow a power law, as in networks of people, and triangles
are common. Edges between servers without a link are replaced by others that a message can follow, so that everybody
keeps about as many contacts. The same seed gives the same graph in every worker.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.declarations.load_users import load_user_name
from lab.errors import UserError
from lab.load.model.spec import Endpoint, Load, Shard, seeded_rng

#: How often a new edge of the graph of contacts closes a triangle.
TRIANGLES = 0.3
#: Attempts to find another contact in place of one who cannot be reached; then there is one contact less.
ATTEMPTS = 8


class Population:
    """Look-ups of a load's users, each in constant time."""

    def __init__(self, load: Load) -> None:
        self.users = load.users
        self.servers = len(load.endpoints)
        self._names = [endpoint.server for endpoint in load.endpoints]
        self._domains = {endpoint.domain: index for index, endpoint in enumerate(load.endpoints)}
        number = {name: index for index, name in enumerate(self._names)}
        #: Linked servers that have users, by number, for each server.
        self.neighbours = [
            [number[name] for name in endpoint.neighbours if name in number and self.count_users(number[name])]
            for endpoint in load.endpoints
        ]

    def get_server(self, user: int) -> int:
        """The number of the user's server."""
        return user % self.servers

    def get_name(self, user: int) -> str:
        """The user's name on their server (the local part of the address)."""
        return load_user_name(user // self.servers + 1)

    def find_user(self, address: str) -> int | None:
        """The user who has that address, with or without a resource; None if it is of no user of the load."""
        local, _, domain = address.partition("/")[0].partition("@")
        place = local.removeprefix("load")
        if domain not in self._domains or local == place or not place.isdecimal():
            return None
        user = (int(place) - 1) * self.servers + self._domains[domain]
        return user if 0 <= user < self.users else None

    def count_users(self, server: int) -> int:
        """How many users live on a server."""
        return (self.users - server + self.servers - 1) // self.servers

    def get_route(self, sender: int, receiver: int) -> str:
        """The route on which a message between two users is counted: "local", or "a->b" with names of servers."""
        a, b = sender % self.servers, receiver % self.servers
        return "local" if a == b else f"{self._names[a]}->{self._names[b]}"

    def reaches(self, a: int, b: int) -> bool:
        """True if messages go between two servers: they are the same, or linked (a link has both directions)."""
        return a == b or b in self.neighbours[a]

    def list_owned(self, shard: Shard) -> range:
        """A worker's users. Raises UserError if there are none."""
        users = range(shard.index, self.users, shard.of)
        if not users:
            raise UserError(
                f"{self.users} users for {shard.of} workers: use at least one user for each worker, or fewer workers"
            )
        return users


@dataclass(frozen=True)
class RoomPlan:
    """A room on server number `server`; `members` are users in ascending order. Its name is loadroom<number + 1>."""

    number: int
    server: int
    members: tuple[int, ...]

    @property
    def name(self) -> str:
        """The local part of its address."""
        return f"loadroom{self.number + 1}"


def plan_rooms(
    population: Population, size: int, seed: int, without: frozenset[int] = frozenset()
) -> tuple[RoomPlan, ...]:
    """Divide the users into rooms of `size`, except those in `without`; the last room of a server may be smaller.

    A room is on the server of each member or on a linked one. Raises UserError for a size below 2.
    """
    if size < 2:
        raise UserError(f"size={size}: a room needs two people or more")
    drawn = seeded_rng(seed, "rooms", size)
    order = list(range(population.users))
    drawn.shuffle(order)
    waiting: list[list[int]] = [[] for _ in range(population.servers)]
    full: list[tuple[int, list[int]]] = []
    for user in order:
        if user in without:
            continue
        home = population.get_server(user)
        host = drawn.choice([home, *population.neighbours[home]])
        waiting[host].append(user)
        if len(waiting[host]) == size:
            full.append((host, waiting[host]))
            waiting[host] = []
    full += [(host, members) for host, members in enumerate(waiting) if members]
    return tuple(RoomPlan(number, host, tuple(sorted(members))) for number, (host, members) in enumerate(full))


def plan_contacts(population: Population, degree: int, seed: int) -> list[list[int]]:
    """For each user the contacts, in ascending order; `degree` on average. Raises UserError if it is odd or below 2."""
    if degree < 2 or degree % 2:
        raise UserError(f"degree={degree}: the mean number of contacts is an even number from 2 on")
    known: list[set[int]] = [set() for _ in range(population.users)]
    drawn = seeded_rng(seed, "social", degree)
    cut = []
    for a, b in _graph(population.users, degree, drawn.getrandbits(32)):
        if population.reaches(population.get_server(a), population.get_server(b)):
            known[a].add(b)
            known[b].add(a)
        else:
            cut += [(a, b)]
    for pair in cut:
        one = drawn.choice(pair)
        for _ in range(ATTEMPTS):
            home = population.get_server(one)
            server = drawn.choice([home, *population.neighbours[home]])
            other = server + population.servers * drawn.randrange(population.count_users(server))
            if other != one and other not in known[one]:
                known[one].add(other)
                known[other].add(one)
                break
    return [sorted(others) for others in known]


def _graph(users: int, degree: int, seed: int) -> list[tuple[int, int]]:
    """Edges between users. In the graph of networkx the best connected come first, so that users are shuffled."""
    import networkx

    if users <= degree:
        graph = networkx.complete_graph(users)
    else:
        graph = networkx.powerlaw_cluster_graph(users, degree // 2, TRIANGLES, seed=seed)
    order = list(range(users))
    seeded_rng(seed, "order").shuffle(order)
    return [(order[a], order[b]) for a, b in graph.edges]


def list_contact_pairs(users: int, degree: int, seed: int) -> list[tuple[int, int]]:
    """Who writes to whom among so many people, wherever they live: the pairs of the seeded graph of contacts.

    Raises UserError if `degree` is odd or below 2.
    """
    load = Load(endpoints=(Endpoint("all", "all.test", ""),), users=users, password="", authority="", seed=seed)
    contacts = plan_contacts(Population(load), degree, seed)
    return [(one, other) for one, others in enumerate(contacts) for other in others if one < other]
