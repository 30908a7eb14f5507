"""How far a message got, by what the feeds of servers show.

The hops of a message from a person on a to one on b: in over c2s at a, out over s2s at a, in over s2s at b,
out over c2s at b; on one server only the first and the last. What a server without a feed saw is not known.
"""

from __future__ import annotations

from lab.history.events import Sent
from lab.metrics.record import RunRecord

Hop = tuple[str, str, str]  # name of the server, "in" or "out", "c2s" or "s2s"


def list_hops(record: RunRecord, sent: Sent) -> list[Hop]:
    """The hops of a message that servers saw, in the order of its way."""
    servers = record.path(sent)
    a, b = (servers[0], servers[-1]) if servers else ("", "")
    way = [(a, "in", "c2s"), (b, "out", "c2s")]
    if a != b:
        way[1:1] = [(a, "out", "s2s"), (b, "in", "s2s")]
    return [hop for hop in way if (sent, *hop) in record.hops]


def describe_last_hop(record: RunRecord, sent: Sent) -> str:
    """The last hop in words: "home received it from its sender's device (in, c2s)"; "" if no feed shows it."""
    reached = list_hops(record, sent)
    if not reached:
        return ""
    server, direction, stream = reached[-1]
    servers = record.path(sent)
    if (direction, stream) == ("in", "c2s"):
        return f"{server} received it from its sender's device (in, c2s)"
    if (direction, stream) == ("out", "s2s"):
        return f"{server} sent it on its stream to {servers[-1]} (out, s2s)"
    if (direction, stream) == ("in", "s2s"):
        return f"{server} received it from {servers[0]} (in, s2s)"
    return f"{server} sent it on a device's stream (out, c2s)"
