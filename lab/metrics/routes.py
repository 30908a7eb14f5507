"""Messages by route: how many were sent from one server to another, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass

from lab.metrics.record import RunRecord


@dataclass
class RouteCounts:
    """Messages of the scenario from one server to another, by outcome; one with two outcomes counts in both."""

    sender: str  # name of the server
    receiver: str
    linked: bool
    sent: int = 0
    delivered: int = 0
    bounced: int = 0
    neither: int = 0


def routes(record: RunRecord) -> list[RouteCounts]:
    """Counts by ordered pair of servers, in the order of first use."""
    found: dict[tuple[str, str], RouteCounts] = {}
    for _, sent in record.messages:
        a, b = record.server_of(sent.sender), record.server_of(sent.receiver)
        if a is None or b is None:
            continue
        counts = found.setdefault((a.name, b.name), RouteCounts(a.name, b.name, record.linked(a.name, b.name)))
        delivered, bounced = bool(record.arrivals(sent)), bool(record.bounces.get(sent))
        counts.sent += 1
        counts.delivered += delivered
        counts.bounced += bounced
        counts.neither += not (delivered or bounced)
    return list(found.values())
