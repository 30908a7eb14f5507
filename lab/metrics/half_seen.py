"""How few operators, or networks, see half of all conversations together."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

from lab.metrics.concentration import LABELS
from lab.metrics.conversations import Conversations, Smallest, find_smallest, read_conversations
from lab.metrics.record import RunRecord


@dataclass(frozen=True)
class HalfSeen(Smallest):
    """The smallest number of those with one label that see half of all conversations."""

    label: str = "operator"  # or "hosting"


def half_seen(record: RunRecord) -> list[HalfSeen]:
    """The number by operator and by network."""
    return compute_half_seen(read_conversations(record))


def compute_half_seen(conversations: Conversations) -> list[HalfSeen]:
    """The same of conversations."""
    return [HalfSeen(**asdict(_of_label(conversations, label)), label=label) for label in LABELS]


def _of_label(conversations: Conversations, label: str) -> Smallest:
    if conversations.unknown:
        return Smallest(None, why=f"what {', '.join(conversations.unknown)} saw is unknown")
    if not conversations.observers:
        return Smallest(None, why="nobody wrote to anybody")
    seen = Counter(conversations.seen_by(label))
    half = len(conversations.observers) / 2
    if sum(count for names, count in seen.items() if names) < half:
        return Smallest(None, why=f"most are {conversations.unseen}")
    return find_smallest(seen, half)
