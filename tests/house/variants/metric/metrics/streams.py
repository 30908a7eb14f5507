"""How many streams there were."""

from lab.history.events import Connected
from lab.metrics.record import RunRecord


def streams(record: RunRecord) -> int:
    """Streams of devices."""
    return sum(1 for _ in record.of(Connected))
