"""How far a message got, by what servers saw of it: the last hop, and the likely cause of its getting no further."""

from __future__ import annotations

from dataclasses import dataclass

from lab.checks.cause import describe_evidence, find_course, find_likely_cause
from lab.checks.verdict import LAST_STANZAS, LONGEST_STANZA, shorten
from lab.history.events import Sent, ServerSaw
from lab.metrics.hops import Hop, describe_last_hop, list_hops
from lab.metrics.record import RunRecord


@dataclass(frozen=True)
class Trace:
    """How far a message got."""

    last_hop: str  # "home received it from its sender's device (in, c2s)", "" if no feed shows it
    cause: str  # the likely cause of its getting no further
    stanzas: tuple[str, ...]
    evidence: str = ""  # the cause, where more than its course shows it: a stream error, a DNS answer, a log, a fault


def trace(record: RunRecord, sent: Sent) -> Trace:
    """The trace of a message."""
    servers = record.path(sent)
    seen = [event for event in record.seen.get(sent, ()) if event.type != "error"]
    a, b = (servers[0], servers[-1]) if servers else ("", "")
    reached = list_hops(record, sent)
    at_b = any(server == b and direction == "in" for server, direction, _ in reached)
    course = find_course(record, sent, a, b, at_a=bool(reached), at_b=at_b)
    otherwise = _by_course(reached, a, b, record.with_feed)
    shown = describe_evidence(record, course)
    return Trace(describe_last_hop(record, sent), find_likely_cause(record, course, otherwise), quote(seen), shown)


def _by_course(reached: list[Hop], a: str, b: str, with_feed: frozenset[str]) -> str:
    """The likely cause that follows from the last hop alone."""
    if not reached:
        return _unseen(a, with_feed)
    server, direction, stream = reached[-1]
    if (direction, stream) == ("in", "c2s"):
        return _not_sent_on(server, a == b)
    if (direction, stream) == ("out", "s2s"):
        lost = f"lost on the link {a} - {b}"
        return lost if b in with_feed else f"{lost} or inside {b} (no feed)"
    if (direction, stream) == ("in", "s2s"):
        return f"{b} received it and sent it to no device"
    return f"lost between {b} and the device, or the device dropped it"


def quote(seen: list[ServerSaw]) -> tuple[str, ...]:
    """The last stanzas of a message, each with the place where it was seen; a shortened one says so."""
    quotes = []
    for event in seen[-LAST_STANZAS:]:
        text = event.stanza if event.stanza is not None else f"<{event.name}> of {event.size} bytes, not recorded"
        quotes.append(f"{event.server} {event.direction} {event.stream}: {shorten(text, LONGEST_STANZA)}")
    return tuple(quotes)


def _unseen(server: str, with_feed: frozenset[str]) -> str:
    if server in with_feed:
        return f"it never reached {server}: lost between its sender's device and that server"
    return "no server's feed shows how far it got"


def _not_sent_on(server: str, local: bool) -> str:
    return f"{server} received it and sent it to no device" if local else f"{server} received it and never sent it on"
