"""What the servers of a lab have reported since it came up, as a record like that of a run.

No scenario belongs to it: it has stanzas and streams, and nothing that a device saw.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lab.history.events import Event, RunEnded
from lab.metrics.exposure import Learned
from lab.metrics.record import RunRecord
from lab.network.feeds import read_whole
from lab.plan import files
from lab.plan.layout import Layout
from lab.servers.conventions import FEED


@dataclass(frozen=True)
class FeedRecord:
    """The feeds of a lab, in the order of time."""

    name: str  # of the lab
    record: RunRecord
    lines: tuple[int, ...]  # of each event of the record, its line in its server's feed

    def cite_lines(self, cells: Sequence[Learned]) -> list[Learned]:
        """The cells with lines of feeds in place of events of a history."""
        return [
            replace(
                cell,
                event=None if cell.event is None else self.lines[cell.event - 1],
                subjects=tuple((subject, self.lines[event - 1]) for subject, event in cell.subjects),
            )
            for cell in cells
        ]


def read_feeds(layout: Layout) -> FeedRecord:
    """The feeds of a lab until now. Raises UserError without a plan, PeerError for a damaged feed."""
    plan = files.read(layout.plan)
    found: list[tuple[Event, int]] = []
    for server in plan.topology.servers:
        found += ((event, line) for line, event in read_whole(layout.server(server.name) / FEED, server.name))
    found.sort(key=lambda one: one[0].at)  # stable: what one server reported stays in its order
    events = (*(event for event, _ in found), RunEnded(at=time.time(), how="finished"))
    return FeedRecord(layout.root.name, RunRecord(events, plan), tuple(line for _, line in found))
