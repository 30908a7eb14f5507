"""Devices that encrypted messages were not encrypted for, with the reason."""

from __future__ import annotations

from lab.history.events import LeftOut
from lab.metrics.record import RunRecord


def left_out(record: RunRecord) -> list[LeftOut]:
    """Each device that was left out of a message, in the order of sending."""
    return list(record.of(LeftOut))
