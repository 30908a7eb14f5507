"""Who sees which conversation: what the measures of concentration are computed from.

It follows from a run, of what its servers' feeds show (`read_conversations`), or is planned: people dealt to the
servers of a topology, and who writes to whom (`plan_conversations`). A conversation is seen by the servers of both
ends; one of them may be a room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb

from lab.history.events import NotSent, Sent, ServerStreamOpened
from lab.metrics.exposure import find_observers, find_pair, make_pair, number_stanzas
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord
from lab.topology.spec import Server, Topology

Pair = tuple[str, str]

#: How many sets are looked at, one by one, until the smallest is certain, about a second; beyond, a greedy choice is
#: an upper bound.
MOST_LOOKS = 3_000_000


#: What is distributed, and over whom: see Distribution.
DISTRIBUTED, DISTRIBUTED_OVER = ("people", "conversations"), ("server", "operator", "hosting")


@dataclass(frozen=True)
class Distribution:
    """What each party has of a whole. Of conversations it is sightings: what two parties see counts for both."""

    label: str  # what a party is: "server", "operator" or "hosting"
    what: str  # "people" or "conversations"
    amounts: Mapping[str, int] | None  # by party, also of those that have none; None if it is unknown, or if nobody has

    @property
    def values(self) -> list[int]:
        """What each party has, the largest first; [] if it is unknown."""
        return sorted((self.amounts or {}).values(), reverse=True)


@dataclass(frozen=True)
class Conversations:
    """Which servers see which conversation."""

    topology: Topology
    observers: Mapping[Pair, frozenset[str]]  # names of the servers that saw it, by the two who write to each other
    people: Mapping[str, int]  # how many live on each server
    unknown: tuple[str, ...] = ()  # names of servers of which nobody knows what they saw
    planned: bool = False  # it follows from the topology, and not from feeds, which can lack what a server saw

    def group_by(self, label: str) -> dict[str, str]:
        """The operator ("operator") or the network ("hosting") of each server; its own name where it has no label.

        By "server" each is its own.
        """
        by_name = label == "server"
        return {one.name: (not by_name and getattr(one, label)) or one.name for one in self.topology.servers}

    @property
    def unseen(self) -> str:
        """What is known of a conversation without observers, in words."""
        return "seen by no server" if self.planned else "in no server's feed"

    def seen_by(self, label: str) -> list[frozenset[str]]:
        """Of each conversation, who saw it, by operator or network."""
        groups = self.group_by(label)
        return [frozenset(groups[name] for name in seen) for seen in self.observers.values()]

    def list_distributions(self) -> list[Distribution]:
        """How people, and sightings of conversations, are distributed over servers, operators and networks."""
        return [
            Distribution(label, what, self._count(label, what)) for what in DISTRIBUTED for label in DISTRIBUTED_OVER
        ]

    def _count(self, label: str, what: str) -> dict[str, int] | None:
        groups = self.group_by(label)
        amounts = dict.fromkeys(groups.values(), 0)
        if what == "people":
            for server, people in self.people.items():
                amounts[groups[server]] += people
        elif self.unknown:
            return None
        else:
            for name in (name for seen in self.seen_by(label) for name in seen):
                amounts[name] += 1
        return amounts if any(amounts.values()) else None


@dataclass(frozen=True)
class Smallest:
    """The smallest number of parties that together reach a share."""

    needed: int | None  # None if it is unknown
    names: tuple[str, ...] = ()  # such parties
    exact: bool = True  # False: there may be fewer, for there were too many sets to try
    why: str = ""  # why it is unknown


def read_conversations(record: RunRecord) -> Conversations:
    """What the feeds of a run show. Conversations that no feed shows are there too, without observers."""
    unsent = {one.message for one in record.of(NotSent)}
    found: dict[Pair, set[str]] = {}
    for sent in record.of(Sent):
        pair = make_pair(sent.sender, sent.receiver)
        if pair and not (sent.marker or sent.claimed or sent.message in unsent):
            found.setdefault(pair, set())
    for _, event in number_stanzas(record):
        if pair := find_pair(event):
            found.setdefault(pair, set()).add(event.server)
    names, with_feed = [server.name for server in record.topology.servers], find_observers(record)
    homes = (record.find_server(jid) for jid in record.people or _find_logged_in(record))
    return Conversations(
        record.topology,
        {pair: frozenset(seen) & set(names) for pair, seen in found.items()},
        Counter(home.name for home in homes if home),
        tuple(name for name in names if name not in with_feed),
    )


def _find_logged_in(record: RunRecord) -> frozenset[str]:
    """Bare JIDs of those who logged in at servers: the people where nothing is recorded of their devices."""
    streams = (one for one in record.of(ServerStreamOpened) if (one.stream, one.direction) == ("c2s", "in"))
    return frozenset(strip_resource(one.peer) for one in streams)


def plan_conversations(topology: Topology, contacts: Iterable[tuple[int, int]], users: int) -> Conversations:
    """The same people, numbered from 0, and pairs of them who write to each other, on the servers of a topology.

    Each server gets its share by the topology's `users`, all servers alike if none has any. A pair that is split
    between servers without a link has no observers.
    """
    homes = deal_people(topology.servers, users)
    linked = {link.pair for link in topology.links if link.comes_up}
    observers = {}
    for one, other in contacts:
        seen = frozenset((homes[one], homes[other]))
        observers[str(one), str(other)] = seen if len(seen) == 1 or seen in linked else frozenset()
    return Conversations(topology, observers, Counter(homes), planned=True)


def deal_people(servers: tuple[Server, ...], users: int) -> list[str]:
    """The name of each person's server: always the one that is furthest below its share (Sainte-Laguë)."""
    weights = [server.users for server in servers]
    if not any(weights):
        weights = [1] * len(servers)
    has = [0] * len(servers)
    homes = []
    for _ in range(users):
        best = max(range(len(servers)), key=lambda place: weights[place] / (2 * has[place] + 1))
        has[best] += 1
        homes.append(servers[best].name)
    return homes


def find_smallest(observed: Mapping[frozenset[str], int], wanted: float) -> Smallest:
    """The smallest set of parties that has at least `wanted` of what is observed: how much is, by who observes it.

    Raises ValueError if all parties together have less.
    """
    chosen = _choose_greedily(observed, wanted)
    every = sorted({name for names in observed for name in names})
    looked = 0
    for size in range(1, len(chosen)):
        looked += comb(len(every), size) * len(observed)
        if looked > MOST_LOOKS:
            return Smallest(len(chosen), tuple(chosen), exact=False)
        for some in combinations(every, size):
            if sum(count for names, count in observed.items() if not names.isdisjoint(some)) >= wanted:
                return Smallest(size, some)
    return Smallest(len(chosen), tuple(chosen))


def _choose_greedily(observed: Mapping[frozenset[str], int], wanted: float) -> list[str]:
    """Parties that have so much, always the one that adds most."""
    left, chosen, reached = dict(observed), [], 0
    while reached < wanted:
        gains: Counter[str] = Counter()
        for names, count in left.items():
            for name in names:
                gains[name] += count
        if not gains:
            raise ValueError(f"all parties together have {reached}, not {wanted}")
        best = min(gains, key=lambda name: (-gains[name], name))
        chosen.append(best)
        reached += gains[best]
        left = {names: count for names, count in left.items() if best not in names}
    return chosen
