"""Order: what one full JID sends to another on one live stream arrives as it was sent (RFC 6120 section 10.1).

Only messages delivered live are compared: a store, an archive and a carbon have orders of their own. What was *sent
first* is what the sender's own server received first, where its feed says so: two sends at once may leave the device
in either order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from lab.checks.trace import quote
from lab.checks.verdict import Finding, Value
from lab.history.events import Delivered
from lab.metrics.record import RunRecord, bare


def findings(record: RunRecord) -> Iterator[Finding]:
    """One finding for each stream with messages out of order, about the first message that arrived too early."""
    for stream in _streams(record).values():
        pair = _first_overreceived(stream, _sending_order(record, stream))
        if pair:
            yield _finding(record, *pair)


def _streams(record: RunRecord) -> dict[tuple[str, str, str], list[Delivered]]:
    """First live deliveries by (sender, device, the device's stream), in the order of arrival."""
    streams: dict[tuple[str, str, str], list[Delivered]] = defaultdict(list)
    seen: set[tuple[str, str]] = set()
    for one in record.of(Delivered):
        known = record.announced.get(one.message)
        if one.via != "live" or known is None or (one.message, one.device) in seen:
            continue
        seen.add((one.message, one.device))
        sent = known[1]
        # A room sends a message as one of its own: the order is that of the room and each occupant.
        streams[sent.sender + (f" in {sent.receiver}" if sent.room else ""), one.device, one.stream].append(one)
    return streams


def _first_overreceived(stream: list[Delivered], sending: dict[str, int]) -> tuple[Delivered, Delivered] | None:
    """(the delivery that arrived too early, the late one it overtook), or None."""
    latest = stream[0]
    for one in stream[1:]:
        if sending[one.message] < sending[latest.message]:
            return latest, one
        latest = one
    return None


def _sending_order(record: RunRecord, stream: list[Delivered]) -> dict[str, int]:
    """The order of sending, as a number for each message: as the sender's server received them, else as announced."""
    received: dict[str, int] = {}
    for one in stream:
        sent = record.announced[one.message][1]
        home = record.server_of(sent.sender)
        place = record.hops.get((one.message, home.name, "in", "c2s")) if home else None
        if place is None:
            return {each.message: record.announced[each.message][0] for each in stream}
        received[one.message] = place
    return received


def _finding(record: RunRecord, early: Delivered, late: Delivered) -> Finding:
    sent = record.announced[late.message][1]
    servers = record.path(sent)
    text = (
        f"Message {early.message} from {bare(sent.sender)} overtook {late.message}, which was sent before it, on the "
        f"way to {late.device} ({' - '.join(servers)})."
    )
    stanzas = quote([*record.seen.get(late.message, [])[-1:], *record.seen.get(early.message, [])[-1:]])
    return Finding(
        Value.FAILED,
        text,
        early.message,
        servers,
        _reorderer(record, early.message, late.message, servers),
        "",
        stanzas,
    )


def _reorderer(record: RunRecord, early: str, late: str, servers: tuple[str, ...]) -> str:
    """The first server that received the two in order and sent them in reverse order."""
    for name in servers:
        received = [_place(record, key, name, "in") for key in (late, early)]
        sent_places = [_place(record, key, name, "out") for key in (early, late)]
        if _rising(received) and _rising(sent_places):
            return f"{name} received them in order and sent them in reverse order"
    return "a server or the link reordered them"


def _rising(places: list[int | None]) -> bool:
    first, second = places
    return first is not None and second is not None and first < second


def _place(record: RunRecord, message: str, server: str, direction: str) -> int | None:
    places = (record.hops.get((message, server, direction, stream)) for stream in ("c2s", "s2s"))
    return next((place for place in places if place is not None), None)
