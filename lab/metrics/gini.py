"""Gini coefficient: how unequally people and conversations are distributed over servers, operators and networks.

It is half of the mean difference between two parties, as a part of the mean (C. Gini, Variabilità e mutabilità, 1912):
0 where all have the same, (n - 1) / n where one of n has everything. Parties that have nothing count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.metrics.conversations import Conversations, read_conversations
from lab.metrics.record import RunRecord


@dataclass(frozen=True)
class Gini:
    """The coefficient of one distribution."""

    label: str  # over whom: "server", "operator" or "hosting"
    what: str  # of what: "people" or "conversations"
    coefficient: float | None  # 0 to 1; None if it is unknown


def gini(record: RunRecord) -> list[Gini]:
    """The coefficient of people and of conversations, by server, operator and network."""
    return compute_gini(read_conversations(record))


def compute_gini(conversations: Conversations) -> list[Gini]:
    """The same of conversations."""
    return [
        Gini(one.label, one.what, compute_coefficient(one.values) if one.amounts else None)
        for one in conversations.list_distributions()
    ]


def compute_coefficient(values: Sequence[int]) -> float:
    """The coefficient of what each party has. Raises ValueError if none has anything."""
    whole, parties = sum(values), len(values)
    if not whole:
        raise ValueError("nobody has anything")
    # With values in rising order, the sum of all differences is the sum of (2 rank - n - 1) times the value.
    weighted = sum((2 * rank - parties - 1) * value for rank, value in enumerate(sorted(values), start=1))
    return weighted / (parties * whole)
