"""Counters of the messages of one route; those of intervals and workers add up to the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from lab.load.metrics.histogram import Histogram

#: The counters, by their names in JSON and CSV.
COUNTS = ("sent", "expected", "received", "lost", "both", "duplicates", "out_of_order")


class RouteCounters:
    """One route: how many messages were sent and received, what went wrong, and the delays up to the receiving client.

    `sent` messages were written, which `expected` receivers should get: a message to a room has several, and a presence
    is sent on the route of its kind and expected on those to its contacts. Of these receipts `lost` were never received
    although the engine waited for them; `bounced` were returned as an error, by its condition (RFC 6120 section 8.3.3),
    for a room all its receipts together; `both` were received although they bounced. In the end nothing is `pending`.
    """

    __slots__ = (
        "actual", "both", "bounced", "duplicates", "expected", "intended", "lost", "out_of_order", "received", "sent"
    )  # fmt: skip

    def __init__(self) -> None:
        self.sent = self.expected = self.received = self.lost = self.both = self.duplicates = self.out_of_order = 0
        self.bounced: Counter[str] = Counter()
        self.intended = Histogram()  # from the time when it was due
        self.actual = Histogram()  # from the time when it was written

    def add(self, other: RouteCounters) -> None:
        """Add the counters of another one."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.bounced.update(other.bounced)
        self.intended.add(other.intended)
        self.actual.add(other.actual)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RouteCounters):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # it changes

    @property
    def deliveries(self) -> int:
        """Receipts whose outcome is known: received, lost or bounced."""
        return self.received + self.lost + self.bounced.total() - self.both

    @property
    def pending(self) -> int:
        """Receipts whose outcome is not known; below 0 something was counted too often."""
        return self.expected - self.deliveries

    @property
    def loss(self) -> float:
        """The fraction of expected receipts that were never received and never returned as an error."""
        return self.lost / self.deliveries if self.deliveries else 0.0

    @property
    def failed(self) -> float:
        """The fraction of expected receipts that were lost or bounced."""
        return (self.lost + self.bounced.total()) / self.deliveries if self.deliveries else 0.0

    def sample(self) -> dict[str, Any]:
        """As JSON that a worker sends: flat lists are cheaper than encoded histograms."""
        return self._json(self.intended.flatten(), self.actual.flatten())

    def to_json(self) -> dict[str, Any]:
        """As JSON for a file: histograms in HdrHistogram's format."""
        return self._json(self.intended.encode(), self.actual.encode())

    def _json(self, intended: object, actual: object) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in COUNTS}
        return {**counts, "bounced": dict(self.bounced), "intended": intended, "actual": actual}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RouteCounters:
        """The inverse of `sample` and of `to_json`, also with decoded histograms."""
        found = cls()
        for name in COUNTS:
            setattr(found, name, data[name])
        found.bounced.update(data["bounced"])
        found.intended, found.actual = (decode_histogram(data[name]) for name in ("intended", "actual"))
        return found


def decode_histogram(data: str | list[int] | Histogram) -> Histogram:
    """A histogram from its text or its flat list; one that is decoded already, itself."""
    if isinstance(data, Histogram):
        return data
    return Histogram.decode(data) if isinstance(data, str) else Histogram(data)


def sum_counters(tallies: Iterable[RouteCounters]) -> RouteCounters:
    """New counters with the sum of all."""
    found = RouteCounters()
    for tally in tallies:
        found.add(tally)
    return found
