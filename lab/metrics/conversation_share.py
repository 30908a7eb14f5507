"""Share of all conversations that each server saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lab.metrics.conversations import Conversations, read_conversations
from lab.metrics.record import RunRecord


@dataclass(frozen=True)
class ConversationShare:
    """What one server saw of who writes to whom."""

    server: str  # its name
    people: int  # who live on it
    seen: int | None  # conversations; None if it is unknown
    share: float | None  # of all conversations, 0 to 1; None if it is unknown, or if nobody wrote to anybody


def conversation_share(record: RunRecord) -> list[ConversationShare]:
    """The share of each server, in the order of the topology."""
    return compute_shares(read_conversations(record))


def compute_shares(conversations: Conversations) -> list[ConversationShare]:
    """The same of conversations."""
    whole = len(conversations.observers)
    counts = Counter(name for observers in conversations.observers.values() for name in observers)
    found = []
    for server in conversations.topology.servers:
        known = server.name not in conversations.unknown
        seen = counts[server.name] if known else None
        share = seen / whole if whole and seen is not None else None
        found.append(ConversationShare(server.name, conversations.people.get(server.name, 0), seen, share))
    return found
