"""The progress of a load in a short sentence each second, from the events of its coordinator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.load.metrics.result import Result, merge


class ProgressPrinter:
    """Call it with each event of docs/load-coordinator.md; it calls `progress` with a sentence when there is news.

    The samples of all workers for one second are put together.
    """

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._samples: list[dict[str, Any]] = []
        self._length = 0.0

    def __call__(self, event: dict[str, Any]) -> None:
        """Take an event."""
        kind = event["event"]
        if kind == "progress":
            self._progress(event.get("text") or f"{event['online']} of {event['users']} users are online")
        elif kind == "started":
            self._length = event["warmup"] + event["seconds"]
            self._progress(f"all users are online; {event['warmup']:g} s of warm-up")
        elif kind == "sample":
            self._samples.append({name: value for name, value in event.items() if name != "totals"})
        elif kind == "usage" and self._samples:
            self._progress(self._second(merge(self._samples), self._samples[-1]["to"]))
            self._samples.clear()

    def _second(self, result: Result, at: float) -> str:
        tallies = [*result.routes.values(), *result.warmup.values()]
        slowest = 1000 * max((tally.intended.percentile(99) for tally in tallies), default=0.0)
        return (
            f"{min(at, self._length):.0f} of {self._length:g} s: {sum(tally.sent for tally in tallies)} sent, "
            f"{sum(tally.received for tally in tallies)} received, p99 of the slowest route {slowest:.1f} ms"
        )
