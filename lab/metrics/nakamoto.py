"""Nakamoto coefficient: the smallest number of parties that together have more than half.

After B. S. Srinivasan and L. Lee, Quantifying Decentralization, 2017, who ask for 51 %. It adds up shares; `half_seen`
counts a conversation that two parties see only once.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.metrics.conversations import Conversations, Distribution, read_conversations
from lab.metrics.record import RunRecord


@dataclass(frozen=True)
class Nakamoto:
    """The coefficient of one distribution."""

    label: str  # over whom: "server", "operator" or "hosting"
    what: str  # of what: "people" or "conversations"
    needed: int | None  # parties; None if it is unknown
    names: tuple[str, ...] = ()  # such parties, the largest first


def nakamoto(record: RunRecord) -> list[Nakamoto]:
    """The coefficient of people and of conversations, by server, operator and network."""
    return compute_nakamoto(read_conversations(record))


def compute_nakamoto(conversations: Conversations) -> list[Nakamoto]:
    """The same of conversations."""
    return [_find_majority(one) for one in conversations.list_distributions()]


def _find_majority(distribution: Distribution) -> Nakamoto:
    amounts = distribution.amounts
    if amounts is None:
        return Nakamoto(distribution.label, distribution.what, None)
    names: list[str] = []
    reached, whole = 0, sum(amounts.values())
    for name in sorted(amounts, key=lambda name: (-amounts[name], name)):
        if 2 * reached > whole:
            break
        names.append(name)
        reached += amounts[name]
    return Nakamoto(distribution.label, distribution.what, len(names), tuple(names))
