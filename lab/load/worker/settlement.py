"""Finds the lost messages in the ledgers of all workers: each has its half of the messages between two workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.ledger import Ledger, MissingMessage, merge_ledgers
from lab.load.metrics.result import Failures, Result
from lab.load.model.spec import Load
from lab.load.workload.recipients import Recipients

#: MissingMessage messages that are listed one by one, as evidence; all are counted.
MAX_MISSING = 100


@dataclass(frozen=True)
class Settlement:
    """What only ledgers show: messages that were never received, and those that were received although they bounced."""

    recipients: Recipients
    missing: Sequence[MissingMessage]
    both: Sequence[MissingMessage]
    bounced: Sequence[MissingMessage] = ()  # only where it was kept when messages were due

    def tallies(self, *, warmup: bool = False) -> dict[str, RouteCounters]:
        """Counts of one phase that no sample has, by route."""
        found: dict[str, RouteCounters] = {}
        for name, of in (("lost", self.missing), ("both", self.both)):
            for one in _phase(of, warmup=warmup):
                tally = found.setdefault(self.recipients.route_of(one), RouteCounters())
                setattr(tally, name, getattr(tally, name) + 1)
        return found

    def first_missing(self) -> list[dict[str, Any]]:
        """The missing messages of the steady state, at most MAX_MISSING."""
        return [one.to_json() for one, _ in zip(_phase(self.missing, warmup=False), range(MAX_MISSING), strict=False)]

    def failures(self) -> list[Failures]:
        """When the lost and bounced messages of the steady state were due, where that was kept."""
        return [
            Failures(route, kind, due, count)
            for kind, of in (("lost", self.missing), ("bounced", self.bounced))
            for (route, due), count in sorted(
                Counter(
                    (self.recipients.route_of(one), one.due) for one in _phase(of, warmup=False) if one.due is not None
                ).items()
            )
        ]


def settle_ledger(ledger: Ledger, recipients: Recipients) -> Settlement:
    """The settlement of a ledger that has everything."""
    find = recipients.receivers
    bounced = list(ledger.list_bounced(find)) if ledger.due else []
    return Settlement(
        recipients, list(ledger.list_missing(find)), list(ledger.list_received_and_bounced(find)), bounced
    )


def settle_into(
    result: Result, load: Load, entries: Iterable[dict[str, Any]]
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Add to a result the messages that were lost, or received although they bounced, from all workers' ledgers.

    Returns the number of lost messages of each route of the steady state, and at most MAX_MISSING of them one by one.
    """
    settlement = settle_ledger(merge_ledgers(entries), Recipients(load))
    for routes, warmup in ((result.routes, False), (result.warmup, True)):
        for route, more in settlement.tallies(warmup=warmup).items():
            routes.setdefault(route, RouteCounters()).add(more)
    result.failures += settlement.failures()
    lost = {route: tally.lost for route, tally in settlement.tallies().items() if tally.lost}
    return lost, settlement.first_missing()


def _phase(of: Sequence[MissingMessage], *, warmup: bool) -> Iterator[MissingMessage]:
    return (one for one in of if one.warmup is warmup)
