"""The record of a run: its history and its plan, with the questions that metrics and checks ask of them.

Order is the order of recording: an event's index. Times are compared only where a deadline is what is judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from lab.history.events import (
    Bounced,
    Connected,
    Decrypted,
    Delivered,
    Event,
    NotDecrypted,
    NotSent,
    RouteSettled,
    RunEnded,
    RunStarted,
    Sent,
    ServerSaw,
)
from lab.metrics.availability import Availability
from lab.plan.model import Plan
from lab.topology.spec import Server, Topology

E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class Route:
    """What settle() found out of the route from a sender to a device, after a message was sent."""

    arrived: bool  # a marker sent after the message arrived: what is missing is lost, not late
    broken: bool  # a stream broke in between: order proves nothing

    @property
    def proves(self) -> bool:
        """True if a message that has not arrived never will."""
        return self.arrived and not self.broken


@dataclass(frozen=True)
class RunRecord:
    """A run as it was recorded."""

    events: tuple[Event, ...]
    plan: Plan

    @property
    def topology(self) -> Topology:
        """The graph of the run."""
        return self.plan.topology

    @cached_property
    def _kinds(self) -> dict[type[Event], list[tuple[int, Event]]]:
        kinds: dict[type[Event], list[tuple[int, Event]]] = defaultdict(list)
        for index, event in enumerate(self.events):
            kinds[type(event)].append((index, event))
        return kinds

    def indexed(self, kind: type[E]) -> Iterator[tuple[int, E]]:
        """Events of a kind with their place in the history."""
        for index, event in self._kinds.get(kind, ()):
            assert isinstance(event, kind)
            yield index, event

    def of(self, kind: type[E]) -> Iterator[E]:
        """Events of a kind, in order."""
        return (event for _, event in self.indexed(kind))

    @property
    def started(self) -> RunStarted | None:
        """The event that began the run."""
        return next(self.of(RunStarted), None)

    @property
    def ended(self) -> RunEnded | None:
        """How the run ended; None if it was killed."""
        return next(self.of(RunEnded), None)

    # -- messages -------------------------------------------------------------------------------------------

    @cached_property
    def _unsent(self) -> frozenset[str]:
        return frozenset(event.message for event in self.of(NotSent))

    @cached_property
    def announced(self) -> dict[str, tuple[int, Sent]]:
        """Every `Sent`, markers too, by id: place and event. Of an id used twice, the first."""
        found: dict[str, tuple[int, Sent]] = {}
        for index, event in self.indexed(Sent):
            found.setdefault(event.message, (index, event))
        return found

    @cached_property
    def messages(self) -> dict[str, tuple[int, Sent]]:
        """What the scenario sent and what left its device: without markers."""
        return {
            key: (index, event)
            for key, (index, event) in self.announced.items()
            if not event.marker and key not in self._unsent
        }

    @cached_property
    def deliveries(self) -> dict[str, list[Delivered]]:
        """Deliveries by message id."""
        return _by_message(self.of(Delivered))

    @cached_property
    def bounces(self) -> dict[str, list[Bounced]]:
        """Stanza errors that its sender got, by message id."""
        return _by_message(self.of(Bounced))

    @cached_property
    def decrypted(self) -> dict[str, list[Decrypted]]:
        """Decryptions by message id."""
        return _by_message(self.of(Decrypted))

    @cached_property
    def not_decrypted(self) -> dict[str, list[NotDecrypted]]:
        """Failed decryptions by message id."""
        return _by_message(self.of(NotDecrypted))

    @cached_property
    def seen(self) -> dict[str, list[ServerSaw]]:
        """What servers saw of each message, by its id, in the order of recording."""
        found: dict[str, list[ServerSaw]] = defaultdict(list)
        for event in self.of(ServerSaw):
            if event.id and event.name == "message":
                found[event.id].append(event)
        return found

    @cached_property
    def hops(self) -> dict[tuple[str, str, str, str], int]:
        """(message id, server, direction, stream) to the index of its first event: comparable on one server only."""
        found: dict[tuple[str, str, str, str], int] = {}
        for place, event in self.indexed(ServerSaw):
            if event.id and event.name == "message" and event.type != "error":
                found.setdefault((event.id, event.server, event.direction, event.stream), place)
        return found

    @cached_property
    def encryptions(self) -> dict[str, str]:
        """What each device can read beside plain text, by full JID: as it said when it last connected."""
        return {event.device: event.encryption for event in self.of(Connected)}

    @cached_property
    def people(self) -> frozenset[str]:
        """Bare JIDs of everyone who had a device in the run."""
        return frozenset(bare(device) for device in self.encryptions)

    def addressees(self, index: int, sent: Sent) -> tuple[str, ...]:
        """The full JIDs that must get a message: those it was expected at, a bare JID standing for who came later.

        A person without an available device is expected under the bare JID: any that becomes available later counts.
        """
        found: list[str] = []
        for one in sent.expected:
            if "/" in one:
                found.append(one)
            else:
                found += self.availability.available_later(one, index)
        return tuple(dict.fromkeys(found))

    @cached_property
    def availability(self) -> Availability:
        """Which devices were available when."""
        return Availability(self.events)

    # -- places ---------------------------------------------------------------------------------------------

    @cached_property
    def _hosts(self) -> dict[str, str]:
        return {host: one.spec.name for one in self.plan.servers for host in (one.spec.domain, *one.hosts)}

    def server_of(self, jid: str | None) -> Server | None:
        """The server that answers for a JID, its rooms' and other host names included; None if none of the lab's."""
        name = self._hosts.get(host(jid or ""))
        return self.topology.server(name) if name else None

    @cached_property
    def _links(self) -> frozenset[frozenset[str]]:
        return frozenset(link.pair for link in self.topology.links)

    def linked(self, a: str, b: str) -> bool:
        """Whether two servers may federate, or are the same."""
        return a == b or frozenset((a, b)) in self._links

    def path(self, sent: Sent) -> tuple[str, ...]:
        """Names of the sender's and the receiver's server; one name if they are the same."""
        ends = (self.server_of(sent.sender), self.server_of(sent.receiver))
        return tuple(dict.fromkeys(server.name for server in ends if server))

    @cached_property
    def _settled(self) -> dict[tuple[str, str], list[tuple[int, RouteSettled]]]:
        routes: dict[tuple[str, str], list[tuple[int, RouteSettled]]] = defaultdict(list)
        for index, event in self.indexed(RouteSettled):
            routes[event.sender, event.receiver].append((index, event))
        return routes

    def route(self, index: int, sent: Sent, device: str) -> Route | None:
        """What settle() found of a message's route to a device; None if it never tried after the message."""
        tried = [
            event
            for receiver in {device, sent.receiver}
            for place, event in self._settled.get((sent.sender, receiver), ())
            if place > index
        ]
        if not tried:
            return None
        return Route(any(one.arrived for one in tried), any(one.broken for one in tried))


def bare(jid: str) -> str:
    """A JID without its resource."""
    return jid.partition("/")[0]


def host(jid: str) -> str:
    """The domain part of a JID (RFC 7622 section 3.2)."""
    return bare(jid).rpartition("@")[2]


T = TypeVar("T", Delivered, Bounced, Decrypted, NotDecrypted)


def _by_message(events: Iterator[T]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for event in events:
        found[event.message].append(event)
    return found
