"""How many stanzas the servers reported."""

from __future__ import annotations

from lab.history.events import ServerSaw
from lab.metrics.record import RunRecord


def stanzas(record: RunRecord) -> int:
    """Stanzas in the servers' feeds; one that crosses two servers counts for each of them."""
    return sum(1 for _ in record.of(ServerSaw))
