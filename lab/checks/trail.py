"""How far a message came, by what servers saw of it: the last hop, and what that makes the likely cause.

The hops of a message from a person on a to one on b: in over c2s at a, out over s2s at a, in over s2s at b,
out over c2s at b; on one server only the first and the last. What a server without a feed saw is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.checks.record import RunRecord
from lab.checks.verdict import LAST_STANZAS, LONGEST_STANZA, shortened
from lab.history.events import Sent, ServerSaw


@dataclass(frozen=True)
class Trail:
    """How far a message came."""

    last_hop: str  # "home took it from its sender's device (in, c2s)", "" if no server told
    cause: str  # the likely cause of its getting no further
    stanzas: tuple[str, ...]


def trail(record: RunRecord, sent: Sent) -> Trail:
    """The trail of a message that got no further than it did."""
    way = record.way(sent)
    seen = [event for event in record.seen.get(sent.message, ()) if event.type != "error"]
    a, b = (way[0], way[-1]) if way else ("", "")
    hops = [(a, "in", "c2s"), (a, "out", "s2s"), (b, "in", "s2s"), (b, "out", "c2s")]
    if a == b:
        hops = [hops[0], hops[3]]
    reached = [hop for hop in hops if (sent.message, *hop) in record.hops]
    told = {event.server for event in record.of(ServerSaw)}
    quotes = quote(seen)
    if not reached:
        return Trail("", _unseen(a, told), quotes)
    server, direction, stream = last = reached[-1]
    if (direction, stream) == ("in", "c2s"):
        return Trail(f"{server} took it from its sender's device (in, c2s)", _kept(server, a == b), quotes)
    if last == (a, "out", "s2s"):
        cause = f"lost on the link {a} - {b}" if b in told else f"lost on the link {a} - {b} or inside {b} (no feed)"
        return Trail(f"{a} gave it to its stream to {b} (out, s2s)", cause, quotes)
    if (direction, stream) == ("in", "s2s"):
        return Trail(f"{b} took it from {a} (in, s2s)", f"{b} took it and gave it to no device", quotes)
    cause = f"lost between {b} and the device, or the device dropped it"
    return Trail(f"{b} gave it to a device's stream (out, c2s)", cause, quotes)


def quote(seen: list[ServerSaw]) -> tuple[str, ...]:
    """The last few stanzas of a message, each with where it was seen; a shortened one says so."""
    quotes = []
    for event in seen[-LAST_STANZAS:]:
        text = event.stanza if event.stanza is not None else f"<{event.name}> of {event.size} bytes, not told"
        quotes.append(f"{event.server} {event.direction} {event.stream}: {shortened(text, LONGEST_STANZA)}")
    return tuple(quotes)


def _unseen(server: str, told: set[str]) -> str:
    if server in told:
        return f"it never reached {server}: lost between its sender's device and that server"
    return "no server's feed tells how far it came"


def _kept(server: str, local: bool) -> str:
    return f"{server} took it and gave it to no device" if local else f"{server} took it and never sent it on"
