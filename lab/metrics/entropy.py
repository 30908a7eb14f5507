"""Shannon entropy: of how many parties of the same size a distribution has the evenness.

It is the sum of -p log2 p over the shares p (C. E. Shannon, A Mathematical Theory of Communication, 1948, section 6):
0 bits where one party has everything, log2 n where n have the same. Normalised, it is the part of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from lab.metrics.conversations import Conversations, read_conversations
from lab.metrics.record import RunRecord


@dataclass(frozen=True)
class Entropy:
    """The entropy of one distribution."""

    label: str  # over whom: "server", "operator" or "hosting"
    what: str  # of what: "people" or "conversations"
    bits: float | None  # None if it is unknown
    normalised: float | None  # 0 to 1; None if it is unknown, or if there is one party only


def entropy(record: RunRecord) -> list[Entropy]:
    """The entropy of people and of conversations, by server, operator and network."""
    return compute_entropy(read_conversations(record))


def compute_entropy(conversations: Conversations) -> list[Entropy]:
    """The same of conversations."""
    found = []
    for one in conversations.list_distributions():
        bits = compute_bits(one.values) if one.amounts else None
        most = log2(len(one.amounts)) if one.amounts else 0.0
        found.append(Entropy(one.label, one.what, bits, bits / most if bits is not None and most else None))
    return found


def compute_bits(values: Sequence[int]) -> float:
    """The entropy of what each party has, in bits. Raises ValueError if none has anything."""
    whole = sum(values)
    if not whole:
        raise ValueError("nobody has anything")
    return sum(value / whole * log2(whole / value) for value in values if value)
