"""When a server or the link between two servers was down, by a history: a bounce from then says nothing of the link.

A server was down from the end of its process until, after the next start, it did anything that the history has. A fault
acted on a route as its declaration says; of one that is not declared and names no server that is not known. A stream
between two servers was down where one of the two recorded its end. A server that refuses another's domain is
down for that one. Compared are times: all are of one machine.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import inf

from lab.declarations.faults import FAULTS
from lab.declarations.manifest import StartedBy
from lab.history.events import (
    Connected,
    DomainAccepted,
    DomainRefused,
    Event,
    FaultApplied,
    FaultHealed,
    ServerEnded,
    ServerSaw,
    ServerStarted,
    ServerStreamClosed,
)
from lab.topology.spec import Topology

#: How a stream ends that nobody refuses: without a stream error, or with one of these (RFC 6120 section 4.9.3).
NOT_REFUSED = frozenset({"", "connection-timeout", "remote-connection-failed", "reset", "system-shutdown"})

#: Seconds for which a server that could not reach another may still return what it is given when the outage is over:
#: ejabberd tries again after one in a lab (s2s_max_retry_delay); the rest is for a busy machine.
RETRY = 10.0

Interval = tuple[float, float]  # seconds since the epoch


@dataclass(frozen=True)
class Outage:
    """Why a stanza may not have got from one server to another."""

    cause: str  # a sentence without an end
    known: bool = True  # False: whether it concerned these two servers is not known


class Outages:
    """The outages of a run."""

    def __init__(self, events: Iterable[Event], topology: Topology) -> None:
        self._events, self._topology = tuple(events), topology

    def between(self, a: str, b: str, began: float, ended: float) -> Outage | None:
        """What was down between servers `a` and `b` then or RETRY before, best known first; None if nothing."""
        retried = (began - RETRY, ended)
        for name in dict.fromkeys((a, b)):
            if self.was_down(name, *retried):
                return Outage(f"{name} was down")
        for server, domain, interval in self._refusals:
            if (server, domain) in self._ways(a, b) and _overlap(interval, retried):
                return Outage(f"{server} refused {domain}")
        if self._stream_ended(a, b, began, ended):
            return Outage(f"a stream between {a} and {b} ended")
        doubtful = None
        for fault, until in self._faults:
            if not _overlap((fault.began, until), retried):
                continue
            acted = _acts_on(fault, a, b)
            if acted:
                return Outage(f"the fault {fault.fault} acted on it")
            if acted is None:
                doubtful = doubtful or Outage(
                    f"the fault {fault.fault}, which names no server, was active", known=False
                )
        return doubtful

    def _ways(self, a: str, b: str) -> set[tuple[str, str]]:
        """Each of two servers with the domain of the other."""
        return {(a, self._topology.server(b).domain), (b, self._topology.server(a).domain)}

    @cached_property
    def _refusals(self) -> list[tuple[str, str, Interval]]:
        """When which server refused which domain by an administrator's decision."""
        since: dict[tuple[str, str], float] = {}
        found = []
        for event in self._events:
            if isinstance(event, DomainRefused):
                since.setdefault((event.server, event.domain), event.at)
            elif isinstance(event, DomainAccepted):
                began = since.pop((event.server, event.domain), event.at)
                found.append((event.server, event.domain, (began, event.at)))
        return [*found, *((server, domain, (began, inf)) for (server, domain), began in since.items())]

    def was_down(self, server: str, began: float, ended: float) -> bool:
        """Whether a server was down at any moment of that time."""
        return any(_overlap(one, (began, ended)) for one in self._down.get(server, ()))

    def faults(self, a: str, b: str, began: float, ended: float) -> tuple[str, ...]:
        """Names of the faults that acted between servers `a` and `b`, or may have, at any moment of that time."""
        found = (
            fault.fault
            for fault, until in self._faults
            if _overlap((fault.began, until), (began, ended)) and _acts_on(fault, a, b) is not False
        )
        return tuple(dict.fromkeys(found))

    def _stream_ended(self, a: str, b: str, began: float, ended: float) -> bool:
        """Whether a stream between the two that was open ended without one refusing the other."""
        domains = {self._topology.server(name).domain: name for name in (a, b)}
        return any(
            event.stream == "s2s"
            and began <= event.at <= ended
            and event.authentication != ""
            and event.condition in NOT_REFUSED
            and {event.server, domains.get(event.peer)} == {a, b}
            for event in self._closed
        )

    @cached_property
    def _closed(self) -> list[ServerStreamClosed]:
        return [event for event in self._events if isinstance(event, ServerStreamClosed)]

    @cached_property
    def _down(self) -> dict[str, list[Interval]]:
        """When each server was down."""
        changes: dict[str, list[tuple[float, bool]]] = defaultdict(list)
        for server in self._topology.servers:
            if server.manifest.started_by is StartedBy.SCRIPT:
                changes[server.name].append((-inf, False))  # it runs inside the script's block only
        for event in self._events:
            if isinstance(event, ServerEnded | ServerStarted):
                changes[event.server].append((event.at, isinstance(event, ServerStarted)))
        return {name: list(self._intervals(name, sorted(found))) for name, found in changes.items()}

    def _intervals(self, server: str, changes: list[tuple[float, bool]]) -> Iterable[Interval]:
        since: float | None = None
        for at, runs in changes:
            if not runs:
                since = at if since is None else since
            elif since is not None:
                signs = self._signs[server]
                place = bisect_right(signs, at)
                yield since, signs[place] if place < len(signs) else inf
                since = None
        if since is not None:
            yield since, inf

    @cached_property
    def _signs(self) -> dict[str, list[float]]:
        """When each server did something that shows that it was up."""
        names = {server.domain: server.name for server in self._topology.servers}
        found: dict[str, list[float]] = defaultdict(list)
        for event in self._events:
            if isinstance(event, ServerSaw):
                found[event.server].append(event.at)
            elif isinstance(event, Connected):
                domain = event.device.partition("/")[0].rpartition("@")[2]
                found[names.get(domain, "")].append(event.at)
        for times in found.values():
            times.sort()
        return found

    @cached_property
    def _faults(self) -> list[tuple[FaultApplied, float]]:
        """Each fault with the time when it was healed."""
        healed = {
            event.number: event.at for event in self._events if isinstance(event, FaultHealed) and not event.error
        }
        return [(one, healed.get(one.number, inf)) for one in self._events if isinstance(one, FaultApplied)]


def _acts_on(fault: FaultApplied, a: str, b: str) -> bool | None:
    """Whether a fault acts on the route between two servers; None if that is not said."""
    declared = next((one for one in FAULTS.values() if one.name == fault.fault), None)
    if declared is not None and declared.acts_on is not None:
        return declared.acts_on(dict(fault.fields), a, b)
    return bool({a, b} & set(fault.servers)) if fault.servers else None


def _overlap(one: Interval, other: Interval) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
