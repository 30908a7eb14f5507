"""Numbers about a topology's graph: how far, how many links, how much hangs on one server."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from lab.topology.spec import Topology

Neighbours = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Facts:
    """What a graph is like. Distances are counted in links; no message goes further than one (servers do not relay)."""

    servers: int
    links: int
    components: int  # groups without a link between them; 1: connected
    diameter: int  # the largest distance inside a component
    mean_distance: float  # over all pairs that are connected, 0.0 without such a pair
    degrees: tuple[int, ...]  # links of each server, in the topology's order
    centralisation: float  # Freeman's for degrees: 0.0 all alike, 1.0 a star

    @property
    def mean_degree(self) -> float:
        """Links per server."""
        return sum(self.degrees) / self.servers


def compute_facts(topology: Topology) -> Facts:
    """Compute all of them; breadth first from each server."""
    graph = find_neighbours(topology)
    tables = [compute_distances(graph, name) for name in graph]
    lengths = [length for table in tables for length in table.values() if length]
    degrees = tuple(len(graph[name]) for name in graph)
    count = len(graph)
    # Freeman 1979: the star on n vertices has the largest sum of differences, (n-1)(n-2).
    spread = sum(max(degrees) - degree for degree in degrees)
    return Facts(
        servers=count,
        links=len(topology.links),
        components=len(find_components(graph)),
        diameter=max(lengths, default=0),
        mean_distance=sum(lengths) / len(lengths) if lengths else 0.0,
        degrees=degrees,
        centralisation=spread / ((count - 1) * (count - 2)) if count > 2 else 0.0,
    )


def find_neighbours(topology: Topology) -> Neighbours:
    """Linked servers of each server, all in the topology's order."""
    position = {server.name: index for index, server in enumerate(topology.servers)}
    linked: dict[str, list[str]] = {name: [] for name in position}
    for link in topology.links:
        linked[link.a].append(link.b)
        linked[link.b].append(link.a)
    return {name: tuple(sorted(others, key=position.__getitem__)) for name, others in linked.items()}


def compute_distances(graph: Neighbours, start: str) -> dict[str, int]:
    """Distance of every server that can be reached from `start`, nearest first."""
    found = {start: 0}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for other in graph[name]:
            if other not in found:
                found[other] = found[name] + 1
                queue.append(other)
    return found


def find_components(graph: Neighbours) -> tuple[tuple[str, ...], ...]:
    """Groups of servers that hang together, each in the topology's order."""
    seen: set[str] = set()
    groups = []
    for name in graph:
        if name not in seen:
            group = compute_distances(graph, name)
            seen |= group.keys()
            groups.append(tuple(other for other in graph if other in group))
    return tuple(groups)
