"""How few servers must be lost until half of all pairs of people cannot write to each other any more.

Pairs are all who could: two people on one server, or on two with a link. Servers relay for nobody, so that losing one
takes all the pairs of its people, and no others.
"""

from __future__ import annotations

from math import comb

from lab.metrics.conversations import Conversations, Smallest, find_smallest, read_conversations
from lab.metrics.record import RunRecord


def half_disconnected(record: RunRecord) -> Smallest:
    """The smallest number of servers, of the people of a run."""
    return compute_half_disconnected(read_conversations(record))


def compute_half_disconnected(conversations: Conversations) -> Smallest:
    """The same of conversations."""
    topology, people = conversations.topology, conversations.people
    pairs = {frozenset((server.name,)): comb(people.get(server.name, 0), 2) for server in topology.servers}
    pairs |= {link.pair: people.get(link.a, 0) * people.get(link.b, 0) for link in topology.links if link.comes_up}
    whole = sum(pairs.values())
    if not whole:
        return Smallest(None, why="there are no two people who could write to each other")
    return find_smallest({ends: count for ends, count in pairs.items() if count}, whole / 2)
