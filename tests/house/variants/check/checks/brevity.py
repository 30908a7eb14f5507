"""Brevity: a run has few events."""

from lab.checks.verdict import Value, Verdict
from lab.metrics.record import RunRecord


def check(record: RunRecord) -> Verdict:
    """Valid for a run of less than 1000 events."""
    count = len(record.events)
    return Verdict("brevity", Value.VALID if count < 1000 else Value.FAILED, f"{count} events.", (), count)
