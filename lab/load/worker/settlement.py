"""What was lost, from the books of all workers: each has its half of what went between its users and another's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lab.load.metrics.counters import RouteCounters
from lab.load.metrics.ledger import Ledger, Missing, settle
from lab.load.metrics.result import Result
from lab.load.model.spec import Load
from lab.load.workload.recipients import Audience

#: Missing messages that are told one by one, as evidence; all are counted.
TOLD = 100


@dataclass(frozen=True)
class Settlement:
    """What books say that no sample can: what never came, and what came although it bounced."""

    audience: Audience
    missing: Sequence[Missing]
    both: Sequence[Missing]

    def tallies(self, *, warmup: bool = False) -> dict[str, RouteCounters]:
        """Counts to be added, by route, of one phase."""
        found: dict[str, RouteCounters] = {}
        for name, of in (("lost", self.missing), ("both", self.both)):
            for one in _phase(of, warmup=warmup):
                tally = found.setdefault(self.audience.route_of(one), RouteCounters())
                setattr(tally, name, getattr(tally, name) + 1)
        return found

    def told(self) -> list[dict[str, Any]]:
        """What is missing of the steady state, up to TOLD."""
        return [one.__dict__ for one, _ in zip(_phase(self.missing, warmup=False), range(TOLD), strict=False)]


def closed(ledger: Ledger, audience: Audience) -> Settlement:
    """From the one ledger that has everything."""
    find = audience.receivers
    return Settlement(audience, list(ledger.missing(find)), list(ledger.both(find)))


def settle_into(
    result: Result, load: Load, entries: Iterable[dict[str, Any]]
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Add to a result what all workers' entries say was lost, or came although it bounced.

    Returns how many messages of each route of the steady state never came, and up to TOLD of them one by one.
    """
    settlement = closed(settle(entries), Audience(load))
    for routes, warmup in ((result.routes, False), (result.warmup, True)):
        for route, more in settlement.tallies(warmup=warmup).items():
            routes.setdefault(route, RouteCounters()).add(more)
    lost = {route: tally.lost for route, tally in settlement.tallies().items() if tally.lost}
    return lost, settlement.told()


def _phase(of: Sequence[Missing], *, warmup: bool) -> Iterator[Missing]:
    return (one for one in of if one.warmup is warmup)
