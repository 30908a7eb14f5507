"""The report of a run as one line."""

from lab.checks import Judgement
from lab.metrics.record import RunRecord


def render(record: RunRecord, judgement: Judgement) -> str:
    """Verdict and number of events."""
    return f"{judgement.value} {len(record.events)}\n"
