"""The record of a run: its history and its plan, with the questions that metrics and checks ask of them.

Order is the order of recording: an event's index. Times are compared only where a deadline is what is judged.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import TypeVar

from lab.declarations.domains import a_labels
from lab.declarations.encryption import EncryptionDeclaration
from lab.declarations.encryptions import find_by_namespace
from lab.history.events import (
    Bounced,
    Connected,
    Decrypted,
    Delivered,
    DeviceSaw,
    Disconnected,
    DnsAnswered,
    Event,
    Intervened,
    NotDecrypted,
    NotSent,
    RouteSettled,
    RunEnded,
    RunStarted,
    Sent,
    ServerLogged,
    ServerSaw,
    ServerStreamClosed,
    ServerStreamOpened,
)
from lab.history.key_events import Encrypted
from lab.metrics.availability import Availability
from lab.metrics.block_lists import BlockLists
from lab.metrics.identity import Identities
from lab.metrics.jids import get_domain, strip_resource
from lab.metrics.outages import Outages
from lab.plan.model import Plan
from lab.topology.spec import Server, Topology

E = TypeVar("E", bound=Event)

_CLIENT = "jabber:client"  # the namespace of what a client sends (RFC 6120 section 4.8.3); feeds need not write it

# The conditions in a stanza error (RFC 6120 section 8.3.3).
_CONDITION = re.compile(r"<([a-z-]+)\s[^>]*urn:ietf:params:xml:ns:xmpp-stanzas")


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
    def announced(self) -> dict[Sent, int]:
        """Every message that somebody sent, markers too, with its place: also those of people's own clients."""
        found = {event: index for index, event in self.indexed(Sent)}
        return found | {sent: index for index, sent in self.foreign.items()}

    @cached_property
    def foreign(self) -> dict[int, Sent]:
        """Messages that clients other than the lab's sent, by the place of the event that proves it.

        The proof is the feed of the sender's own server: it received them on a stream of that very account. Messages of
        strangers to strangers, such as those of another run in the same lab, are left out.
        """
        return {index: sent for index, sent in self._foreign() if self._concerns_us(sent)}

    def _foreign(self) -> Iterator[tuple[int, Sent]]:
        known = Identities(self.of(Sent))
        for index, event in self.indexed(ServerSaw):
            origin = event.peer or event.sender or ""
            if (event.name, event.stream, event.direction) != ("message", "c2s", "in") or event.type == "error":
                continue
            if origin in self.encryptions or not (event.body or event.encryption):
                continue
            same = known.find(event.id, origin, event.receiver)
            if same is not None and strip_resource(same.sender) == strip_resource(origin):
                continue
            declared = find_by_namespace(event.encryption)
            if declared is not None and not _has_text(declared, event.stanza):
                continue  # its encryption's own protocol, such as keys: nobody has written anything
            sent = Sent(
                at=event.at, message=event.id or "", sender=origin,
                receiver=event.receiver or strip_resource(origin), stream="",
                encryption=declared.name if declared else event.encryption or "plain",
                room=event.type == "groupchat",
            )  # fmt: skip
            yield index, replace(sent, expected=self._entitled(index, sent, event.type))

    def _entitled(self, index: int, sent: Sent, kind: str | None) -> tuple[str, ...]:
        """Who must get a message of a client of somebody's own, where that is certain; else nobody.

        It is seen a moment after it was sent: where presence changed in that moment, nothing is certain.
        """
        person = strip_resource(sent.receiver)
        if sent.room or not sent.message or kind == "headline" or self.block_lists.stops(sent, index):
            return ()
        before = min(self.availability.place_at(sent.at), index)
        then, now = self._entitled_at(before, sent.receiver), self._entitled_at(index, sent.receiver)
        # Of several devices all must get a chat message only (RFC 6121 section 8.5.2.1.1).
        several = kind != "chat" and sum(strip_resource(device) == person for device in self.encryptions) > 1
        return () if then != now or several or person in self._with_own_clients else now

    def _entitled_at(self, place: int, receiver: str) -> tuple[str, ...]:
        """Whom a message to a JID must reach (RFC 6121 section 8.5); the bare JID where nobody is available."""
        if strip_resource(receiver) not in self.people:
            return ()
        if self.availability.is_connected(receiver, place):
            return (receiver,)
        return self.availability.entitled(strip_resource(receiver), place) or (strip_resource(receiver),)

    @cached_property
    def _with_own_clients(self) -> frozenset[str]:
        """Bare JIDs of those who were seen with a client that is not the lab's: it may get what is for them."""
        streams = (one.peer for one in self.of(ServerStreamOpened) if one.stream == "c2s")
        stanzas = (one.peer for one in self.of(ServerSaw) if one.stream == "c2s")
        return frozenset(
            strip_resource(jid) for jid in (*streams, *stanzas) if "/" in jid and jid not in self.encryptions
        )

    def _concerns_us(self, sent: Sent) -> bool:
        if self.people & {strip_resource(sent.sender), strip_resource(sent.receiver)}:
            return True
        return bool(
            self._received
            & {(sent.message, strip_resource(sent.sender)), (sent.message, strip_resource(sent.receiver))}
        )

    @cached_property
    def _received(self) -> frozenset[tuple[str, str]]:
        """Ids of what the lab's devices got, each with the account or the room that it came from."""
        return frozenset((one.message, strip_resource(one.sender)) for one in self.of(Delivered))

    @cached_property
    def _identities(self) -> Identities:
        return Identities(self.announced)

    @cached_property
    def _unsent(self) -> frozenset[Sent]:
        """Messages that did not leave their device: of those with the id, the last that was announced by then."""
        found: set[Sent] = set()
        for index, event in self.indexed(NotSent):
            before = [sent for place, sent in self.indexed(Sent) if place < index and sent.message == event.message]
            found.update(before[-1:])
        return frozenset(found)

    @cached_property
    def messages(self) -> tuple[tuple[int, Sent], ...]:
        """What was sent and left its device, each with its place: without markers."""
        kept = ((index, sent) for sent, index in self.announced.items() if not sent.marker)
        return tuple((index, sent) for index, sent in kept if sent not in self._unsent)

    def with_id(self, message: str | None, sender: str = "") -> Sent | None:
        """The first message of an id, of one sender if given."""
        if message is None:
            return None
        return self._identities.find(message, sender, "") if sender else self._identities.with_id(message)

    def sent_of(self, event: Delivered) -> Sent | None:
        """The message that was delivered; None if nobody sent it."""
        return self._identities.find(event.message, event.sender, event.device)

    @cached_property
    def deliveries(self) -> dict[Sent | None, list[Delivered]]:
        """Deliveries by message; under None those of messages that nobody sent."""
        return _by_message(self.of(Delivered), self.sent_of)

    def arrivals(self, sent: Sent) -> list[Delivered]:
        """Deliveries to whom it was sent: a carbon for the sender's other devices shows only that it was written."""
        own = strip_resource(sent.sender) != strip_resource(sent.receiver)
        return [
            one
            for one in self.deliveries.get(sent, ())
            if not (own and one.via == "carbon" and strip_resource(one.device) == strip_resource(sent.sender))
        ]

    @cached_property
    def bounces(self) -> dict[Sent | None, list[Bounced]]:
        """Stanza errors that its sender got, by message; under None those about messages that nobody sent."""
        found = _by_message(self.of(Bounced), lambda one: self._identities.find(one.message, one.device, one.by))
        for sent in self.foreign.values():  # what the lab's devices do not see, the feed of their server has
            errors = (one for one in self.seen.get(sent, ()) if one.type == "error")
            home = self.find_server(sent.sender)
            for one in errors:
                if home is not None and (one.server, one.stream, one.direction) == (home.name, "c2s", "out"):
                    found.setdefault(sent, []).append(_bounce_of(one))
        return found

    @cached_property
    def decrypted(self) -> dict[Sent | None, list[Decrypted]]:
        """Decryptions by message."""
        return _by_message(self.of(Decrypted), lambda one: self._identities.find(one.message, one.sender, one.device))

    @cached_property
    def not_decrypted(self) -> dict[Sent | None, list[NotDecrypted]]:
        """Failed decryptions by message."""
        events = self.of(NotDecrypted)
        return _by_message(events, lambda one: self._identities.find(one.message, one.sender, one.device))

    def _sent_of_stanza(self, event: ServerSaw) -> Sent | None:
        if event.name != "message":
            return None
        ends = (event.peer if event.direction == "in" and event.stream == "c2s" else "") or event.sender, event.receiver
        return self._identities.find(event.id, *(reversed(ends) if event.type == "error" else ends))

    @cached_property
    def seen(self) -> dict[Sent | None, list[ServerSaw]]:
        """What servers saw of each message, in the order of recording; under None what belongs to none."""
        return _by_message(self.of(ServerSaw), self._sent_of_stanza)

    def handed_over(self, sent: Sent) -> tuple[str, ...]:
        """Full JIDs of clients that are not the lab's to whose streams the receiver's server wrote a message.

        Each as often as it did. What they made of it is not known.
        """
        home = self.find_server(sent.receiver)
        return tuple(
            one.peer
            for one in self.seen.get(sent, ())
            if home is not None
            and (one.server, one.stream, one.direction) == (home.name, "c2s", "out")
            and one.type != "error"
            and one.peer not in self.encryptions
            and strip_resource(one.peer) == strip_resource(sent.receiver)
        )

    @cached_property
    def hops(self) -> dict[tuple[Sent, str, str, str], int]:
        """(message, server, direction, stream) to the index of its first event: comparable on one server only."""
        found: dict[tuple[Sent, str, str, str], int] = {}
        for place, event in self.indexed(ServerSaw):
            sent = self._sent_of_stanza(event)
            if sent is not None and event.type != "error":
                found.setdefault((sent, event.server, event.direction, event.stream), place)
        return found

    @cached_property
    def interventions(self) -> dict[Sent | None, list[Intervened]]:
        """What attacks did to stanzas, by message; under None what they did to others. Reading does nothing."""
        return _by_message(
            (one for one in self.of(Intervened) if one.action != "read"),
            lambda one: self._identities.find(one.id, one.sender, one.receiver) if one.name == "message" else None,
        )

    @cached_property
    def closed_streams(self) -> dict[str, list[ServerStreamClosed]]:
        """Streams that ended, by the name of the server that reported it."""
        return _by(self.of(ServerStreamClosed), lambda event: event.server)

    @cached_property
    def logged(self) -> dict[str, list[ServerLogged]]:
        """Warnings and errors by the name of the server."""
        return _by(self.of(ServerLogged), lambda event: event.server)

    @cached_property
    def dns_answers(self) -> dict[str, list[DnsAnswered]]:
        """Answers of the lab's name server by who asked."""
        return _by(self.of(DnsAnswered), lambda event: event.asker)

    @cached_property
    def last_at(self) -> float:
        """The time of the latest event."""
        return max((event.at for event in self.events), default=0.0)

    @cached_property
    def encryptions(self) -> dict[str, str]:
        """What each device can read beside plain text, by full JID: as it said when it last connected."""
        return {event.device: event.encryption for event in self.of(Connected)}

    @cached_property
    def omemo_devices(self) -> dict[str, tuple[str, int]]:
        """Owner (bare JID) and OMEMO device id of each device, by full JID: as it said when it last connected."""
        return {
            event.device: (strip_resource(event.device), event.omemo_device)
            for event in self.of(Connected)
            if event.omemo_device is not None
        }

    @cached_property
    def keys(self) -> dict[Sent, frozenset[tuple[str, int]]]:
        """Owner (bare JID) and OMEMO device id of each device that a message was encrypted for, by message."""
        found = ((self.with_id(event.message, event.sender), event.devices) for event in self.of(Encrypted))
        return {sent: frozenset(devices) for sent, devices in found if sent is not None}

    @cached_property
    def written(self) -> frozenset[tuple[str, str]]:
        """Id and writer (full JID) of each message that a device of the lab put on its stream, of whatever kind."""
        return frozenset(
            (one.id, one.device)
            for one in self.of(DeviceSaw)
            if (one.direction, one.name) == ("out", "message") and one.id is not None
        )

    @cached_property
    def people(self) -> frozenset[str]:
        """Bare JIDs of everyone who had a device in the run."""
        return frozenset(strip_resource(device) for device in self.encryptions)

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

    @cached_property
    def block_lists(self) -> BlockLists:
        """Who had blocked whom when."""
        return BlockLists(self.events)

    @cached_property
    def outages(self) -> Outages:
        """When servers and links were down."""
        return Outages(self.events, self.topology)

    # -- places ---------------------------------------------------------------------------------------------

    @cached_property
    def _hosts(self) -> dict[str, str]:
        hosts = ((host, one) for one in self.plan.servers for host in (one.spec.domain, *one.hosts))
        return {name: one.spec.name for host, one in hosts for name in (host, a_labels(host))}

    def find_server(self, jid: str | None) -> Server | None:
        """The server that answers for a JID, its rooms' and other host names included; None if none of the lab's."""
        name = self._hosts.get(get_domain(jid or ""))
        return self.topology.server(name) if name else None

    @cached_property
    def _domains(self) -> frozenset[str]:
        return frozenset(server.domain for server in self.topology.servers)

    def in_room(self, jid: str) -> bool:
        """Whether a JID is that of somebody in a room: with a nickname, at a host that is no domain of accounts."""
        return "/" in jid and get_domain(jid) not in self._domains and self.find_server(jid) is not None

    def from_a_server(self, jid: str) -> bool:
        """Whether servers and rooms write by themselves under a JID: a host, or a room itself without a nickname."""
        if "@" not in strip_resource(jid):
            return True
        return get_domain(jid) not in self._domains and "/" not in jid and self.find_server(jid) is not None

    @cached_property
    def with_feed(self) -> frozenset[str]:
        """Names of the servers that recorded what they saw."""
        return frozenset(event.server for event in self.of(ServerSaw))

    @cached_property
    def _links(self) -> frozenset[frozenset[str]]:
        return frozenset(link.pair for link in self.topology.links if link.comes_up)

    def linked(self, a: str, b: str) -> bool:
        """Whether two servers may federate, or are the same."""
        return a == b or frozenset((a, b)) in self._links

    def path(self, sent: Sent) -> tuple[str, ...]:
        """Names of the sender's and the receiver's server; one name if they are the same."""
        ends = (self.find_server(sent.sender), self.find_server(sent.receiver))
        return tuple(dict.fromkeys(server.name for server in ends if server))

    @cached_property
    def _passages(self) -> dict[tuple[str, str], list[float]]:
        """When stanzas of a server arrived at another, in order."""
        found: dict[tuple[str, str], list[float]] = defaultdict(list)
        for event in self.of(ServerSaw):
            if (event.stream, event.direction) == ("s2s", "in") and (source := self.find_server(event.sender)):
                found[source.name, event.server].append(event.at)
        for times in found.values():
            times.sort()
        return found

    def next_passage(self, a: str, b: str, after: float) -> float:
        """When the first stanza of server `a` arrived at `b` after that time; infinite if none is known."""
        times = self._passages.get((a, b), [])
        place = bisect_right(times, after)
        return times[place] if place < len(times) else inf

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
            return self._route_of_others(index, sent, device) if index in self.foreign else None
        return Route(any(one.arrived for one in tried), any(one.broken for one in tried))

    def _route_of_others(self, index: int, sent: Sent, device: str) -> Route | None:
        """The same by markers that the sender's server received after the message, from whichever of its clients.

        From there on they share one stream to the receiver's server (RFC 6120 section 10.1).
        """
        servers = self.path(sent)
        tried: list[tuple[int, RouteSettled]] = []
        for (sender, receiver), found in self._settled.items():
            home = self.find_server(sender)
            if receiver == device and home is not None and home.name == servers[0]:
                tried += [one for one in found if self._marked_after(index, one[1], home.name)]
        if not tried:
            return None
        place, last = tried[-1]
        ended = any(event.device == device and index < at < place for at, event in self.indexed(Disconnected))
        broken = ended or self.outages.between(servers[0], servers[-1], sent.at, last.at) is not None
        return Route(any(one.arrived for _, one in tried), broken)

    def _marked_after(self, index: int, settled: RouteSettled, server: str) -> bool:
        """Whether a server received the marker of a route after this place of the history."""
        return any(
            place > index and sent.marker and (sent.sender, sent.receiver) == (settled.sender, settled.receiver)
            for (sent, name, direction, stream), place in self.hops.items()
            if (name, direction, stream) == (server, "in", "c2s")
        )


T = TypeVar("T", Delivered, Bounced, Decrypted, Intervened, NotDecrypted, ServerSaw)


def _by(events: Iterator[E], key: Callable[[E], str]) -> dict[str, list[E]]:
    found: dict[str, list[E]] = defaultdict(list)
    for event in events:
        found[key(event)].append(event)
    return found


def _has_text(declared: EncryptionDeclaration, stanza: str | None) -> bool:
    """Whether an encrypted message carries what somebody wrote; of one whose XML is not recorded it is assumed."""
    try:
        outer = ET.fromstring(f"<x xmlns='{_CLIENT}'>{stanza or ''}</x>")  # noqa: S314 - of a lab's own server
    except ET.ParseError:
        return True
    return all(declared.has_text(message, message.findtext(f"{{{_CLIENT}}}body")) for message in outer)


def _by_message(events: Iterator[T], sent_of: Callable[[T], Sent | None]) -> dict[Sent | None, list[T]]:
    found: dict[Sent | None, list[T]] = {}
    for event in events:
        found.setdefault(sent_of(event), []).append(event)
    return found


def _bounce_of(event: ServerSaw) -> Bounced:
    """The bounce that a server handed to a client of somebody's own."""
    names = _CONDITION.findall(event.stanza or "")
    condition = next((name for name in names if name != "text"), "undefined-condition")
    return Bounced(
        at=event.at, message=event.id or "", device=event.receiver or "", condition=condition, by=event.sender or ""
    )
