"""Messages that did not reach whom they should have: lost, where that is certain, else why nobody knows.

A message is lost if it neither arrived nor bounced and a marker that was sent after it on the same route arrived, on
streams that did not break (RFC 6120 section 10.1); after a break, if the time that was waited for it is over as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab.history.events import Delivered, Disconnected, RoomLeft, RouteSettled, Sent
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord

# These hand over the message itself; an archive and a carbon a copy.
ORIGINALS = ("live", "offline")
# A second one of these on one device is a second message: a carbon is for devices that do not get the message itself.
ONCE = (*ORIGINALS, "carbon")


@dataclass(frozen=True)
class Missing:
    """A message that did not reach one of those that must get it, and did not bounce."""

    sent: Sent
    device: str  # full JID; "" where it is not known whom it had to reach
    why: str = ""  # why it is not known whether it is lost; "" if it is lost

    @property
    def lost(self) -> bool:
        """Whether it certainly never arrives."""
        return not self.why


def find_missing(record: RunRecord) -> Iterator[Missing]:
    """All that is missing, in the order of sending."""
    for index, sent in record.messages:
        yield from find_missing_of(record, index, sent)


def find_missing_of(record: RunRecord, index: int, sent: Sent) -> Iterator[Missing]:
    """Whom a message did not reach. Between servers without a link, and of what is forged, nothing is missing."""
    servers = record.path(sent)
    if sent.claimed or record.bounces.get(sent) or not (len(servers) < 2 or record.linked(servers[0], servers[1])):
        return
    got = {one.device for one in record.deliveries.get(sent, ())}
    stores = any(one.via == "offline" for one in record.deliveries.get(sent, ()))
    for device in record.addressees(index, sent):
        # The offline store is delivered to the device that connects first: of a person who was offline, one is enough.
        if device in got or (stores and device not in sent.expected):
            continue
        others = [
            one for one in record.deliveries.get(sent, ()) if strip_resource(one.device) == strip_resource(device)
        ]
        if any(one.via in ORIGINALS and was_gone_before(record, index, device, one) for one in others):
            continue
        if (left := _left_room(record, index, sent, device)) and _out_of_reach(record, sent, left):
            continue
        why = _why_unknown(record, index, sent, device)
        if not (others and why == PRESENCE_CHANGED):
            yield Missing(sent, device, why)
    if record.handed_over(sent):  # to a client that is not the lab's: more than that is not known
        return
    if not got and _undecided(record, index, sent):
        yield Missing(sent, "", "which of its receiver's clients must get it is not known")
    if sent.expected and not got and not record.addressees(index, sent):
        yield Missing(sent, "", "no device of the lab's that it was sent to became available after it")


def was_gone_before(record: RunRecord, index: int, device: str, delivered: Delivered) -> bool:
    """Whether the stream of this device ended before: what is for it goes to others then (RFC 6121 8.5.3.2)."""
    place = next(place for place, event in record.indexed(Delivered) if event is delivered)
    return any(event.device == device and index < ended < place for ended, event in record.indexed(Disconnected))


PRESENCE_CHANGED = "its person's presence changed meanwhile"


def _why_unknown(record: RunRecord, index: int, sent: Sent, device: str) -> str:
    """Why it is not known whether a message that did not reach a device is lost; "" if it is."""
    if _left_room(record, index, sent, device):
        return "it left the room meanwhile"
    if record.block_lists.changed(sent, index):
        return "one of the two blocked the other meanwhile"
    if _presence_decides(record, index, sent, device):
        return PRESENCE_CHANGED
    route = record.route(index, sent, device)
    if route is None:
        return "no marker was sent after it"
    if route.proves:
        return ""
    if route.broken:
        return "a stream broke on the way, so that order proves nothing"
    return "the marker that was sent after it did not arrive either"


def _undecided(record: RunRecord, index: int, sent: Sent) -> bool:
    """Whether a message of somebody's own client should reach a person of the run, nobody knows where."""
    if index not in record.foreign or sent.expected or sent.room or record.block_lists.stops(sent, index):
        return False
    home = record.find_server(sent.receiver)
    handed = any(
        (one.server, one.stream, one.direction) == (home.name if home else "", "c2s", "out")
        for one in record.seen.get(sent, ())
    )
    return strip_resource(sent.receiver) in record.people and not handed


def _left_room(record: RunRecord, index: int, sent: Sent, device: str) -> RoomLeft | None:
    """When an occupant left the room, or was removed, after the message was sent and before a marker was."""
    settled = max(
        (place for place, one in record.indexed(RouteSettled) if one.receiver == sent.receiver), default=index
    )
    for place, one in record.indexed(RoomLeft):
        if sent.room and (one.device, one.room) == (device, sent.receiver) and index < place < settled:
            return one
    return None


def _out_of_reach(record: RunRecord, sent: Sent, left: RoomLeft) -> bool:
    """Whether a room may have removed an occupant because it could not reach them (XEP-0045 section 18.1.2)."""
    host, home = record.find_server(left.room), record.find_server(left.device)
    if host is None or home is None:
        return False
    outage = record.outages.between(host.name, home.name, sent.at, left.at)
    return outage is not None and outage.known


def _presence_decides(record: RunRecord, index: int, sent: Sent, device: str) -> bool:
    """Whether presences that changed after it was sent may have made the server choose another device, or keep it."""
    chosen = device in sent.expected and "/" not in sent.receiver and not sent.room
    return chosen and record.availability.changed(strip_resource(device), index)
