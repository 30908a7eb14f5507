"""Concentration of what operators and networks see: the Herfindahl-Hirschman index (HHI).

It is the sum of the squares of their shares in percent, from near 0 to 10,000: here each one's part of all sightings,
where a conversation that two of them see counts for both. The bands are those of markets.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from lab.metrics.conversations import Conversations, read_conversations
from lab.metrics.record import RunRecord

#: Below each figure it is called so; from the last one on `HIGHEST`.
BANDS = ((100.0, "highly competitive"), (1500.0, "unconcentrated"), (2500.0, "moderately concentrated"))
HIGHEST = "highly concentrated"
LABELS = ("operator", "hosting")


@dataclass(frozen=True)
class Concentration:
    """How concentrated conversations are among those with one label."""

    label: str  # "operator" or "hosting"
    hhi: float | None  # 0 to 10,000; None if it is unknown
    band: str  # in words; "" if it is unknown


def concentration(record: RunRecord) -> list[Concentration]:
    """The index by operator and by network."""
    return compute_concentration(read_conversations(record))


def compute_concentration(conversations: Conversations) -> list[Concentration]:
    """The same of conversations."""
    return [_of_label(conversations, label) for label in LABELS]


def _of_label(conversations: Conversations, label: str) -> Concentration:
    sightings = Counter(name for seen in conversations.seen_by(label) for name in seen)
    whole = sum(sightings.values())
    if conversations.unknown or not whole:
        return Concentration(label, None, "")
    hhi = sum((100 * one / whole) ** 2 for one in sightings.values())
    return Concentration(label, hhi, next((name for below, name in BANDS if hhi < below), HIGHEST))
