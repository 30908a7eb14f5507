"""Exposure: what each server learned about people from the stanzas that it handled, encrypted or not.

A cell is one fact at one server. It counts different subjects (a pair of people, a person, a device), and names for
each the first event of the history that proves it: a stanza, or of an address a stream, in that server's own feed.
Without a feed a fact is unknown, and so is one of which only the inside of a stanza tells where the feed has none
(`feed: meta`). Markers of the lab do not count.

Each stanza is searched with regular expressions, since a parser of XML would take most of the time. They look for tags
as servers write them: in a text `<` is escaped, so that what people write is no tag.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from lab.history.events import Event, Sent, ServerSaw, ServerStreamOpened
from lab.history.reader import HistoryGap
from lab.metrics.jids import get_domain, strip_resource
from lab.metrics.record import RunRecord
from lab.topology.spec import Feed

E = TypeVar("E", bound=Event)

#: Every fact as tables name it, in their order. What a cell counts: pairs of people, or of a person and a room, who
#: write to each other; messages; people; ids; pairs of whom one confirms or types what the other sees; and so on.
FACTS = {
    "contacts": "who writes to whom",
    "messages": "how often",
    "times": "when",
    "sizes": "how much",
    "texts": "what they write",
    "presence": "who is online",
    "device_ids": "OMEMO device ids",
    "receipts": "receipts",
    "typing": "typing",
    "rooms": "room occupants",
    "uploads": "uploads",
    "addresses": "client addresses",
}
#: How a run ended whose feeds were read to their end: see RunEnded.
WHOLE = ("finished", "expectation")

#: Facts that only the inside of a stanza shows.
INSIDE = ("device_ids", "receipts", "typing", "uploads")

NO_FEED = "it has no feed, or nothing in it"
NO_CONTENT = "its feed has no content of stanzas"
GAP = "events of the history are missing"
BROKEN_OFF = "the run broke off: its last stanzas may be missing"
NO_ADDRESSES = "no address in its feed"

_OMEMO = re.compile(r"eu\.siacs\.conversations\.axolotl|urn:xmpp:omemo:")
# In messages the sender's and the receivers' devices (XEP-0384), in lists and bundles those that somebody has.
_DEVICE_ID = re.compile(
    r"""<(?:[\w.-]+:)?(?:header\b[^>]*?\ssid|key\b[^>]*?\srid|device\b[^>]*?\sid)=["'](\d+)"""
    r"""|\bnode=["']eu\.siacs\.conversations\.axolotl\.bundles:(\d+)"""
    r"""|<item\b[^>]*?\sid=["'](\d+)["'][^>]*>\s*<bundle\b"""
)
_RECEIPT = re.compile(r"<(?:received|displayed)\b[^>]*urn:xmpp:(?:receipts|chat-markers:0)")
_TYPING = re.compile(r"<(?:composing|paused)\b[^>]*http://jabber\.org/protocol/chatstates")
_UPLOAD = re.compile(r"<request\b[^>]*urn:xmpp:http:upload:0")


@dataclass(frozen=True)
class Learned:
    """One fact at one server."""

    server: str  # its name
    fact: str  # a key of FACTS
    count: int | None  # of different subjects; None if it is unknown
    event: int | None  # number of the event that proves the first; None without one
    detail: str = ""  # in words: the range of times and of sizes, how many people share an address
    why: str = ""  # why it is unknown; "" if it is known
    subjects: tuple[tuple[str, int], ...] = ()  # each, with the number of the event that proves it


def exposure(record: RunRecord, people: frozenset[str] | None = None) -> list[Learned]:
    """A cell for each server and each fact, in the order of the topology and of FACTS.

    With `people`, bare JIDs, only what was learned from stanzas to or from them, and from their streams.
    """
    with_feed = find_observers(record)
    observers = {server.name: _Observer(record, server.name in with_feed) for server in record.topology.servers}
    for number, event in number_stanzas(record):
        if event.server in observers and _is_about(people, get_origin(event), event.receiver):
            observers[event.server].learn(number, event)
    for number, opened in _numbered(record, ServerStreamOpened):
        of_client = (opened.stream, opened.direction) == ("c2s", "in") and _is_about(people, opened.peer)
        if opened.server in observers and of_client:
            observers[opened.server].learn_address(number, opened)
    lacks = _find_lack(record)
    return [observer.build_cell(server, fact, lacks) for server, observer in observers.items() for fact in FACTS]


def compare_encryptions(record: RunRecord) -> dict[str, list[Learned]]:
    """What remains visible, by what people's devices read: of each fact the cell of the server that learned most."""
    people: dict[str, set[str]] = defaultdict(set)
    for device, encryption in record.encryptions.items():
        people[encryption].add(strip_resource(device))
    columns = {}
    for encryption, some in people.items():
        cells = exposure(record, frozenset(some))
        of_fact = {fact: [cell for cell in cells if cell.fact == fact] for fact in FACTS}
        columns[encryption] = [max(of_fact[fact], key=lambda cell: cell.count or 0) for fact in FACTS]
    return columns


def _is_about(people: frozenset[str] | None, *jids: str | None) -> bool:
    return people is None or any(strip_resource(jid or "") in people for jid in jids)


def _find_lack(record: RunRecord) -> str:
    """Why what the history does not show may have happened all the same; "" if it has not."""
    if any(record.indexed(HistoryGap)):
        return GAP
    return "" if record.ended is not None and record.ended.how in WHOLE else BROKEN_OFF


def find_observers(record: RunRecord) -> frozenset[str]:
    """Names of the servers whose feed is shown to work: by a stanza, or by a stream of a server that has a whole feed.

    A server that handled nothing, but opened streams when the lab came up, is known to have learned nothing.
    """
    able = {one.name for one in record.topology.servers if one.manifest.installed and one.feed is not Feed.OFF}
    return record.with_feed | {one.server for one in record.of(ServerStreamOpened) if one.server in able}


def number_stanzas(record: RunRecord) -> Iterator[tuple[int, ServerSaw]]:
    """What servers saw, without markers, each with its line in history.jsonl: in a complete history its `seq`."""
    markers = {sent.message for sent in record.of(Sent) if sent.marker}
    for number, event in _numbered(record, ServerSaw):
        if event.id not in markers or event.name != "message":
            yield number, event


def _numbered(record: RunRecord, kind: type[E]) -> Iterator[tuple[int, E]]:
    """Events of a kind, each with its line."""
    gaps = [place for place, _ in record.indexed(HistoryGap)]
    return ((place + 1 - bisect_left(gaps, place), event) for place, event in record.indexed(kind))


def find_pair(event: ServerSaw) -> tuple[str, str] | None:
    """The bare JIDs of the two between whom a message with something to read goes, in order; None if it is none.

    One of them may be a room. A stanza error, and what a server itself writes, is none.
    """
    if event.name != "message" or event.type == "error" or not (event.body or event.encryption):
        return None
    return make_pair(get_origin(event), event.receiver or "")


def make_pair(one: str, other: str) -> tuple[str, str] | None:
    """The bare JIDs of two addresses, in order; None if they are the same, or one is that of a server."""
    one, other = strip_resource(one), strip_resource(other)
    if one == other or "@" not in one or "@" not in other:
        return None
    return (one, other) if one < other else (other, one)


def get_origin(event: ServerSaw) -> str:
    """Who sent a stanza: of a client whose account its stream proves, else whom the stanza names; "" for nobody."""
    return (event.peer if (event.stream, event.direction) == ("c2s", "in") else "") or event.sender or ""


class _Observer:
    """What one server has learned so far."""

    def __init__(self, record: RunRecord, with_feed: bool) -> None:
        self._in_room = cache(record.in_room)
        self._is_person = cache(lambda jid: "@" in jid and not record.from_a_server(jid) and not record.in_room(jid))
        self._found: dict[str, dict[str, int]] = {fact: {} for fact in FACTS}
        self._range: dict[str, tuple[float, float]] = {}
        self._clients: dict[str, set[str]] = defaultdict(set)  # people by address
        self._has_clients = False
        self._with_feed = with_feed
        self._content: bool | None = None  # whether its stanzas have an inside; None without any

    def learn(self, number: int, event: ServerSaw) -> None:
        """Take a stanza into account."""
        self._content = self._content or event.stanza is not None
        self._has_clients = self._has_clients or event.stream == "c2s"
        if event.name == "presence":
            self._learn_presence(number, event)
        elif event.name == "message":
            self._learn_message(number, event)
        if event.stanza is not None:
            self._learn_inside(number, event, event.stanza)

    def learn_address(self, number: int, event: ServerStreamOpened) -> None:
        """Take the stream of a client into account."""
        self._has_clients = True
        if event.address:
            self._add("addresses", event.address, number)
            self._clients[event.address].add(strip_resource(event.peer))

    def build_cell(self, server: str, fact: str, lacks: str) -> Learned:
        """What is known of a fact. That it was not learned is known only where the history `lacks` nothing."""
        found = self._found[fact]
        why = ""
        if not self._with_feed:
            why = NO_FEED
        elif fact == "addresses" and not found and self._has_clients:
            why = NO_ADDRESSES
        elif fact in INSIDE and self._content is False:
            why = NO_CONTENT
        elif not found:
            why = lacks
        if why:
            return Learned(server, fact, None, None, why=why)
        first = min(found.values(), default=None)
        subjects = () if fact in self._range else tuple(found.items())  # those of "messages"
        return Learned(server, fact, len(found), first, self._describe(fact), subjects=subjects)

    def _add(self, fact: str, subject: str, number: int) -> None:
        self._found[fact].setdefault(subject, number)

    def _learn_presence(self, number: int, event: ServerSaw) -> None:
        if event.type not in (None, "unavailable"):
            return
        origin, receiver = get_origin(event), event.receiver or ""
        if self._in_room(origin) or self._in_room(receiver):
            self._add("rooms", origin if self._in_room(origin) else receiver, number)
        if self._is_person(origin):
            self._add("presence", strip_resource(origin), number)

    def _learn_message(self, number: int, event: ServerSaw) -> None:
        if (pair := find_pair(event)) is None:
            return
        self._add("contacts", " ".join(pair), number)
        # One that has no id is recognised where it comes in; one that a server makes for a room has an id.
        if event.id is None and event.direction != "in":
            return
        message = f"{' '.join(pair)} {event.id or f'#{number}'}"
        self._add("messages", message, number)
        if event.body:
            self._add("texts", message, number)
        for fact, value in (("times", event.at), ("sizes", event.size)):
            self._add(fact, message, number)
            low, high = self._range.get(fact, (value, value))
            self._range[fact] = min(low, value), max(high, value)

    def _learn_inside(self, number: int, event: ServerSaw, stanza: str) -> None:
        if _OMEMO.search(stanza):
            for ids in _DEVICE_ID.finditer(stanza):
                self._add("device_ids", ids[1] or ids[2] or ids[3], number)
        if event.name == "iq":
            if event.type == "get" and _UPLOAD.search(stanza):
                self._add("uploads", f"{strip_resource(get_origin(event))} {event.id}", number)
        elif event.name == "message" and event.type != "error":
            for fact, pattern in (("receipts", _RECEIPT), ("typing", _TYPING)):
                if pattern.search(stanza):
                    ends = get_origin(event), event.receiver or get_domain(get_origin(event))
                    self._add(fact, " ".join(map(strip_resource, ends)), number)

    def _describe(self, fact: str) -> str:
        if fact == "addresses" and (most := max(map(len, self._clients.values()), default=0)) > 1:
            return f"{len(self._clients)}, {most} people share one"
        if fact not in self._range:
            return ""
        low, high = self._range[fact]
        return f"within {high - low:.1f} s" if fact == "times" else f"{low:.0f}-{high:.0f} B"
