"""How many stanzas the servers reported."""

from __future__ import annotations

from lab.checks import RunRecord
from lab.history.events import ServerSaw


def stanzas(record: RunRecord) -> int:
    """Stanzas in the servers' feeds; one that crosses two servers counts for each of them."""
    return sum(1 for _ in record.of(ServerSaw))
