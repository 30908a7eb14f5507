"""Who knows whom: a seeded graph of people in which some have many contacts, and friends have common friends.

The graph is Holme and Kim's (2002): degrees follow a power law, as in networks of people, and triangles are common.
Acquaintances between servers without a link are replaced by ones that a message can follow, so that everybody
keeps about as many contacts as they were dealt. The same seed gives the same graph in every worker.
"""

from __future__ import annotations

from lab.errors import UserError
from lab.load.model.spec import seeded_rng
from lab.load.workload.population import People

#: How often a new acquaintance closes a triangle.
TRIANGLES = 0.3
#: Attempts to find somebody in place of one who cannot be reached; then there is one contact less.
TRIES = 8


def contacts(people: People, degree: int, seed: int) -> list[list[int]]:
    """For each user the users they know, ascending; `degree` on average. Raises UserError if it is odd or too small."""
    if degree < 2 or degree % 2:
        raise UserError(f"degree={degree}: the mean number of contacts is an even number from 2 on")
    known: list[set[int]] = [set() for _ in range(people.users)]
    drawn = seeded_rng(seed, "social", degree)
    cut = []
    for a, b in _graph(people.users, degree, drawn.getrandbits(32)):
        if people.reaches(people.server_of(a), people.server_of(b)):
            known[a].add(b)
            known[b].add(a)
        else:
            cut += [(a, b)]
    for pair in cut:
        one = drawn.choice(pair)
        for _ in range(TRIES):
            home = people.server_of(one)
            server = drawn.choice([home, *people.neighbours[home]])
            other = server + people.servers * drawn.randrange(people.count(server))
            if other != one and other not in known[one]:
                known[one].add(other)
                known[other].add(one)
                break
    return [sorted(others) for others in known]


def _graph(users: int, degree: int, seed: int) -> list[tuple[int, int]]:
    """Edges. The best connected come first in networkx's graph: users are shuffled over it."""
    import networkx

    if users <= degree:
        graph = networkx.complete_graph(users)
    else:
        graph = networkx.powerlaw_cluster_graph(users, degree // 2, TRIANGLES, seed=seed)
    order = list(range(users))
    seeded_rng(seed, "order").shuffle(order)
    return [(order[a], order[b]) for a, b in graph.edges]
