"""The path of every stanza: where it was observed, one observation after the other, and which other stanzas it caused.

An observation is one event: a device wrote or received the stanza, a server received it or sent it on. Each has the
observation before it: what a server received follows what its peer sent, what it sends follows what it received. So
the path of a stanza is a tree: one to a room, or a presence, goes on to several devices. Streams keep the order
(RFC 6120 section 10.1), so of equal stanzas the first that was sent is the first that is received.

Without a feed between two observations the second follows the nearest that is known, and says so (`seen` is False).
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from lab.history.events import Delivered, DeviceSaw, Sent, ServerSaw
from lab.metrics.jids import get_domain, strip_resource
from lab.metrics.record import RunRecord

#: Children that name another stanza by its id: receipts (XEP-0184), markers (XEP-0333), corrections are none of them.
_ABOUT = re.compile(r"<(?:received|displayed|acknowledged)\b[^>]*?\bid=[\"']([^\"']+)")
_FORWARDED = re.compile(r"<forwarded\b.*?<message\b([^>]*)", re.DOTALL)
#: Seconds by which the note of a sender may be late; more is another stanza.
_SKEW = 1.0
_ANSWERS = ("result", "error")
_NO_ID = "\0"  # begins what stands in place of an id: no id contains it
_PUBLISHED = re.compile(r"<publish\b[^>]*?\bnode=[\"']([^\"']+)")
_ITEMS = re.compile(r"<items\b[^>]*?\bnode=[\"']([^\"']+)")
_CONTACT = re.compile(r"<item\b[^>]*?\bjid=[\"']([^\"']+)")
_SUBSCRIPTIONS = ("subscribe", "subscribed", "unsubscribe", "unsubscribed")
_ID = re.compile(r"\bid=[\"']([^\"']+)")

Observed = DeviceSaw | ServerSaw | Sent | Delivered
Stanza = tuple[str, str, str]  # name, kind, id: the same on each hop


@dataclass(frozen=True)
class Observation:
    """A stanza at one place."""

    number: int  # of the event in the history, from 1 on
    event: Observed
    at: float  # seconds since the epoch; not later than when the next place had it
    before: int | None  # index of the observation that it follows, in its path; None for the first
    seen: bool = True  # whether every hop in between was recorded

    @property
    def xml(self) -> str | None:
        """The stanza as it was here, None if it is not recorded."""
        return getattr(self.event, "stanza", None)

    @property
    def place(self) -> str:
        """The full JID of a device, or the name of a server."""
        event = self.event
        if isinstance(event, ServerSaw):
            return event.server
        return event.sender if isinstance(event, Sent) else event.device

    @property
    def direction(self) -> str:
        """ "out" where it leaves the place, "in" where it arrives."""
        event = self.event
        if isinstance(event, Sent):
            return "out"
        return "in" if isinstance(event, Delivered) else event.direction


@dataclass
class StanzaPath:
    """One stanza, with all places that it was observed at."""

    name: str  # "message", "presence", "iq"
    type: str
    id: str
    sender: str  # as the first who knows says: a full JID where that is known
    receiver: str
    observations: list[Observation] = field(default_factory=list)
    sent: Sent | None = None  # the message, where somebody of the run wrote it
    causes: list[int] = field(default_factory=list)  # indices of the stanzas that it answers, repeats or tells of

    @property
    def kind(self) -> str:
        """ "marker" for the lab's own messages, else the name of the stanza."""
        return "marker" if self.sent is not None and self.sent.marker else self.name


def list_stanza_paths(record: RunRecord) -> list[StanzaPath]:
    """The paths of all stanzas, in the order in which they began."""
    builder = _Builder(record)
    hops = [_Hop(number, event, *builder.find_ends(event), _identify(event)) for number, event in _observed(record)]
    _order(hops)
    for hop in sorted(hops, key=lambda one: (one.at, one.inward, one.number)):
        builder.add(hop)
    _link_causes(builder.paths)
    _link_pushes(builder.paths)
    return builder.paths


@dataclass
class _Hop:
    """An event that is an observation, before it is known what it follows."""

    number: int
    event: Observed
    place: str
    other: str  # who is at the other end of the stream: a full JID, the name of a server, or a domain
    inward: bool
    stanza: Stanza
    at: float = 0.0


def _order(hops: list[_Hop]) -> None:
    """Give each its time: who sends a stanza may note it a moment after it has been received."""
    received: dict[tuple[str, str, Stanza], list[float]] = defaultdict(list)
    sent: dict[tuple[str, str, Stanza], list[_Hop]] = defaultdict(list)
    for hop in hops:
        hop.at = hop.event.at
        if hop.inward:
            received[hop.other, hop.place, hop.stanza].append(hop.at)
        else:
            sent[hop.place, hop.other, hop.stanza].append(hop)
    for key, outward in sent.items():
        if key in received:
            outward.sort(key=lambda one: one.at)
            for hop, at in zip(outward, sorted(received[key]), strict=False):
                if hop.at - at < _SKEW:
                    hop.at = min(hop.at, at)


def _observed(record: RunRecord) -> Iterator[tuple[int, Observed]]:
    """Events that are observations. `Sent` and `Delivered` count where no `DeviceSaw` shows the same."""
    known = {(event.device, event.id, event.direction) for event in record.of(DeviceSaw) if event.name == "message"}
    for index, event in enumerate(record.events):
        match event:
            case DeviceSaw() | ServerSaw():
                yield index + 1, event
            case Sent() if event.stream and (event.sender, event.message, "out") not in known:
                yield index + 1, event
            case Delivered(via="live") if (event.device, event.message, "in") not in known:
                yield index + 1, event


class _Builder:
    """Puts each observation behind the one that it follows."""

    def __init__(self, record: RunRecord) -> None:
        self.paths: list[StanzaPath] = []
        self._record = record
        self._servers = frozenset(server.name for server in record.topology.servers)
        self._messages = {id(event): sent for sent, seen in record.seen.items() if sent for event in seen}
        self._written = {(sent.sender, sent.message): sent for sent in record.announced}
        # What left a place and has not been observed at the next: (from, to, stanza) -> (path, index), oldest first.
        self._under_way: dict[tuple[str, str, Stanza], deque[tuple[int, int]]] = defaultdict(deque)
        self._received: dict[tuple[str, Stanza], tuple[int, int]] = {}  # last at a server
        self._broadcast: dict[tuple[str, str, str], tuple[int, int]] = {}  # presence: (server, type, account)
        # The last on the way, anywhere and by place: not where it has arrived for good.
        self._last: dict[Stanza, tuple[int, int]] = {}
        self._last_at: dict[tuple[str, Stanza], tuple[int, int]] = {}

    def add(self, hop: _Hop) -> None:
        """Add an observation; it begins a path if it follows none."""
        event, place, stanza, inward = hop.event, hop.place, hop.stanza, hop.inward
        found, seen = self._find_before(hop)
        if found is None:
            self._begin(event)
        where = found[0] if found else len(self.paths) - 1
        path = self.paths[where]
        here = where, len(path.observations)
        path.observations.append(Observation(hop.number, event, hop.at, found[1] if found else None, seen))
        if path.sent is None and path.type != "error":
            path.sent = self._find_message(event)
        if place in self._servers or not inward:
            self._last[stanza] = self._last_at[place, stanza] = here
        if not inward:
            self._under_way[place, hop.other, stanza].append(here)
        elif place in self._servers:
            self._received[place, stanza] = here
            if stanza[0] == "presence" and strip_resource(path.receiver) in ("", strip_resource(path.sender)):
                self._broadcast[place, stanza[1], strip_resource(path.sender)] = here

    def _begin(self, event: Observed) -> None:
        sender, receiver = event.sender or "", getattr(event, "receiver", None) or ""
        if isinstance(event, DeviceSaw) and event.direction == "out":
            sender = sender or event.device
        elif isinstance(event, DeviceSaw | Delivered):
            receiver = receiver or event.device
        if isinstance(event, Sent | Delivered):
            kind = "groupchat" if isinstance(event, Sent) and event.room else ""
            self.paths.append(StanzaPath("message", kind, event.message, sender, receiver))
        else:
            self.paths.append(StanzaPath(event.name, event.type or "", event.id or "", sender, receiver))

    def _find_message(self, event: Observed) -> Sent | None:
        if isinstance(event, Sent):
            return event
        if isinstance(event, DeviceSaw) and event.name == "message" and event.direction == "out":
            return self._written.get((event.device, event.id or ""))
        return self._messages.get(id(event))

    def find_ends(self, event: Observed) -> tuple[str, str, bool]:
        """The place, who is at the other end of the stream, and whether the stanza came in."""
        if isinstance(event, Sent):
            return event.sender, self._home(event.sender), False
        if isinstance(event, Delivered):
            return event.device, self._home(event.device), True
        if isinstance(event, DeviceSaw):
            return event.device, self._home(event.device), event.direction == "in"
        inward = event.direction == "in"
        named = event.sender if inward else event.receiver
        if event.stream == "c2s":
            return event.server, event.peer or named or "", inward
        return event.server, self._home(event.peer or named or ""), inward

    def _home(self, jid: str) -> str:
        server = self._record.find_server(jid)
        return server.name if server else get_domain(jid)

    def _find_before(self, hop: _Hop) -> tuple[tuple[int, int] | None, bool]:
        """The observation that one follows, None if it is the first; and whether nothing is missing in between."""
        if hop.inward:
            # A feed that does not record the peer names the account that it sent to.
            for place in (hop.place, strip_resource(hop.place)):
                if waiting := self._under_way.get((hop.other, place, hop.stanza)):
                    return waiting.popleft(), True
            if hop.place in self._servers and isinstance(hop.event, ServerSaw) and hop.event.stream == "c2s":
                return None, True  # of a client that records nothing
            if hop.stanza[2].startswith(_NO_ID):
                return None, True  # many look alike: which of them it is nobody knows
            return self._last_at.get((hop.other, hop.stanza), self._last.get(hop.stanza)), False
        if hop.place not in self._servers:
            return None, True
        return self._received.get((hop.place, hop.stanza)) or self._find_broadcast(hop.event, hop.place), True

    def _find_broadcast(self, event: Observed, place: str) -> tuple[int, int] | None:
        """The presence without an id that a server sends on to somebody's contacts (RFC 6121 section 4.2.2)."""
        if not isinstance(event, ServerSaw) or event.name != "presence" or event.id:
            return None
        return self._broadcast.get((place, event.type or "", strip_resource(event.sender or "")))


def _identify(event: Observed) -> Stanza:
    """What is the same on each hop; of a stanza without an id the accounts at its ends, in place of the id."""
    if isinstance(event, Sent | Delivered):
        return "message", "", event.message
    name, kind = event.name, event.type or ""
    if name == "message":
        kind = kind if kind == "error" else ""
    elif name == "iq":
        kind = "" if kind in ("get", "set") else "answer"
    if event.id:
        return name, kind, event.id
    sender, receiver = event.sender or "", event.receiver or ""
    if isinstance(event, DeviceSaw):
        outward = event.direction == "out"
        sender, receiver = sender or event.device * outward, receiver or event.device * (not outward)
    return name, kind, f"{_NO_ID}{strip_resource(sender)} {strip_resource(receiver)}"


def _link_causes(paths: list[StanzaPath]) -> None:
    """Say of each stanza which others it answers, repeats or confirms."""
    by_id: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, path in enumerate(paths):
        if path.id:
            by_id[path.name, path.id].append(index)
    for index, path in enumerate(paths):
        found = [one for one in by_id.get((path.name, path.id), ()) if _answers(path, paths[one])]
        for named in _named_messages(path):
            found += [one for one in by_id.get(("message", named), ()) if paths[one].type != "error"]
        path.causes = [one for one in dict.fromkeys(found) if one != index and _began(paths[one]) <= _began(path)]


def _link_pushes(paths: list[StanzaPath]) -> None:
    """Say of each event of a node, and of each roster push, what published or changed that last.

    An event (XEP-0060, XEP-0163) follows a publication on its node. A push (RFC 6121 section 2.1.6) follows a change of
    the roster by one of the account's devices, or a subscription between the two.
    """
    published: dict[tuple[str, str], int] = {}
    changed: dict[tuple[str, str], int] = {}
    for index, path in enumerate(paths):
        sender, receiver = strip_resource(path.sender), strip_resource(path.receiver)
        xml = next((one.xml for one in path.observations if one.xml), None) or ""
        cause = None
        if path.name == "presence" and path.type in _SUBSCRIPTIONS:
            changed[sender, receiver] = changed[receiver, sender] = index
        elif path.name == "message" and "pubsub#event" in xml:
            cause = next((published[sender, node] for node in _ITEMS.findall(xml) if (sender, node) in published), None)
        elif path.name == "iq" and path.type == "set" and "<publish" in xml:
            published |= {(receiver or sender, node): index for node in _PUBLISHED.findall(xml)}
        elif path.name == "iq" and path.type == "set" and "jabber:iq:roster" in xml:
            if _is_request(path):
                changed |= {(sender, contact): index for contact in _CONTACT.findall(xml)}
            else:
                cause = next((changed.get((receiver, contact)) for contact in _CONTACT.findall(xml)), None)
        if cause is not None and cause not in path.causes:
            path.causes.append(cause)


def _is_request(path: StanzaPath) -> bool:
    """Whether a device began it, not a server."""
    first = path.observations[0]
    return ("@" in first.place) == (first.direction == "out")


def _answers(path: StanzaPath, other: StanzaPath) -> bool:
    """Whether the one is the answer to the other, which has the same id: by its type (RFC 6120 section 8.2.3, 8.3)."""
    if path.type not in _ANSWERS or other.type in _ANSWERS:
        return False
    return strip_resource(path.receiver) in ("", strip_resource(other.sender))


def _named_messages(path: StanzaPath) -> Iterator[str]:
    """Ids of the messages that one confirms, or has inside."""
    xml = next((one.xml for one in path.observations if one.xml), None)
    if path.name != "message" or xml is None or ("<forwarded" not in xml and "id=" not in xml):
        return
    yield from _ABOUT.findall(xml)
    for attributes in _FORWARDED.findall(xml):
        yield from _ID.findall(attributes)


def _began(path: StanzaPath) -> float:
    return path.observations[0].at
