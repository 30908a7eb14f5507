"""What a declared fault did to a load, as it is kept in result.json.

Times are seconds since the start of the warm-up, as those of the load's seconds are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lab.load.metrics.result import Failures

#: Seconds before a fault was applied: what was due then may still have been under way, and is lost with it.
IN_FLIGHT = 1.0
#: Of times that messages were due: tenths of a second.
_TENTH = 0.1


@dataclass(frozen=True)
class FaultRecord:
    """One time that a fault acted, and its figures (lab.load.analysis.recovery computes them)."""

    name: str
    action: str
    occurrence: int  # which time of this fault
    servers: tuple[str, ...]
    links: tuple[tuple[str, str], ...]  # directions that it acted on; () for faults of servers
    applied: float
    healed: float | None  # None if the load ended before
    error: str = ""  # why it could not be applied or healed
    lost_during: int = 0
    bounced_during: int = 0
    lost_after: int = 0
    bounced_after: int = 0
    recovery: float | None = None  # seconds from its healing until the load was as before
    unknown: str = ""  # why there is no recovery time

    @property
    def title(self) -> str:
        """Its name, with its number from the second time on."""
        return self.name if self.occurrence < 2 else f"{self.name} ({self.occurrence})"

    @property
    def begin(self) -> float:
        """From when on messages were due that it may have lost."""
        return self.applied - IN_FLIGHT

    @property
    def end(self) -> float:
        """Until when messages were due that it may have lost: the load had recovered; or it was healed, if it never
        did; infinite if it was not healed.
        """
        return float("inf") if self.healed is None else self.healed + (self.recovery or 0.0)

    def concerns(self, route: str) -> bool:
        """Whether it can have had an effect on a route: that of one of its links or servers, or one that has no ends
        ("local", "room", requests).
        """
        a, arrow, b = route.rpartition(" ")[2].partition("->")
        if not arrow:
            return True
        return {a, b} in [{*link} for link in self.links] if self.links else bool({a, b} & {*self.servers})

    def to_json(self) -> dict[str, Any]:
        """For result.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FaultRecord:
        """The inverse."""
        links = tuple((a, b) for a, b in data["links"])
        return cls(**{**data, "servers": tuple(data["servers"]), "links": links})


def count_failures(
    failures: Iterable[Failures], kind: str, faults: Iterable[FaultRecord], begin: float, end: float
) -> int:
    """Messages that were lost or bounced (`kind`), due in [begin, end), on routes that one of the faults concerns."""
    several = list(faults)
    return sum(
        one.messages
        for one in failures
        if one.kind == kind
        and begin <= (one.due + 0.5) * _TENTH < end
        and any(fault.concerns(one.route) for fault in several)
    )


def count_caused(failures: Iterable[Failures], kind: str, faults: Iterable[FaultRecord]) -> int:
    """Messages that were lost or bounced while a fault acted that concerns their route, or until the load had recovered
    from it; each once, also where faults overlap.
    """
    several = list(faults)
    return sum(
        one.messages
        for one in failures
        if one.kind == kind
        and any(fault.concerns(one.route) and fault.begin <= (one.due + 0.5) * _TENTH < fault.end for fault in several)
    )
