"""Order: what one full JID sends to another on one live stream arrives as it was sent (RFC 6120 section 10.1).

Only messages delivered live are compared: a store, an archive and a carbon have orders of their own. What was *sent
first* is what the sender's own server received first, where its feed says so: two sends at once may leave the device
in either order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from lab.checks.cause import describe_attacks
from lab.checks.trace import quote
from lab.checks.verdict import Finding, Value
from lab.history.events import Delivered, Sent
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord


def find_disorder(record: RunRecord) -> Iterator[Finding]:
    """One finding for each stream with messages out of order, about the first message that arrived too early."""
    for (_, device, _), stream in _streams(record).items():
        pair = _first_overreceived(stream, _sending_order(record, stream))
        if pair:
            yield _finding(record, *pair, device)


def _streams(record: RunRecord) -> dict[tuple[str, str, str], list[Sent]]:
    """What was delivered live, by (sender, device, the device's stream), in the order of its first arrival."""
    streams: dict[tuple[str, str, str], dict[Sent, None]] = defaultdict(dict)
    for one in record.of(Delivered):
        sent = record.sent_of(one)
        if one.via == "live" and sent is not None:
            # A room sends a message as one of its own: the order is that of the room and each occupant.
            sender = sent.sender + (f" in {sent.receiver}" if sent.room else "")
            streams[sender, one.device, one.stream][sent] = None
    return {key: list(stream) for key, stream in streams.items()}


def _first_overreceived(stream: list[Sent], sending: dict[Sent, int]) -> tuple[Sent, Sent] | None:
    """(the message that arrived too early, the late one it overtook), or None."""
    latest = stream[0]
    for one in stream[1:]:
        if sending[one] < sending[latest]:
            return latest, one
        latest = one
    return None


def _sending_order(record: RunRecord, stream: list[Sent]) -> dict[Sent, int]:
    """The order of sending, as a number for each message: as the sender's server received them, else as announced."""
    received: dict[Sent, int] = {}
    for sent in stream:
        home = record.find_server(sent.sender)
        place = record.hops.get((sent, home.name, "in", "c2s")) if home else None
        if place is None:
            return {each: record.announced[each] for each in stream}
        received[sent] = place
    return received


def _finding(record: RunRecord, early: Sent, late: Sent, device: str) -> Finding:
    servers = record.path(late)
    text = (
        f"Message {early.message} from {strip_resource(late.sender)} overtook {late.message}, "
        f"which was sent before it, on the way to {device} ({' - '.join(servers)})."
    )
    stanzas = quote([*record.seen.get(late, [])[-1:], *record.seen.get(early, [])[-1:]])
    return Finding(Value.FAILED, text, early.message, servers, _reorderer(record, early, late, servers), "", stanzas)


def _reorderer(record: RunRecord, early: Sent, late: Sent, servers: tuple[str, ...]) -> str:
    """The first server that received the two in order and sent them in reverse order, or the attack on one of them."""
    for name in servers:
        received = [_place(record, sent, name, "in") for sent in (late, early)]
        sent_places = [_place(record, sent, name, "out") for sent in (early, late)]
        if _rising(received) and _rising(sent_places):
            return f"{name} received them in order and sent them in reverse order"
    acted = (describe_attacks(record, late), describe_attacks(record, early))
    return next(filter(None, acted), "a server or the link reordered them")


def _rising(places: list[int | None]) -> bool:
    first, second = places
    return first is not None and second is not None and first < second


def _place(record: RunRecord, sent: Sent, server: str, direction: str) -> int | None:
    places = (record.hops.get((sent, server, direction, stream)) for stream in ("c2s", "s2s"))
    return next((place for place in places if place is not None), None)
