"""Tables that a scenario measured, cell by cell."""

from __future__ import annotations

from lab.history.events import TableRecorded
from lab.metrics.record import RunRecord


def tables(record: RunRecord) -> list[TableRecorded]:
    """Each table, in the order of recording."""
    return list(record.of(TableRecorded))
