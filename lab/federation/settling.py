"""The end of a scenario: a marker follows the messages on every route that was used.

XMPP keeps the order of stanzas between two full JIDs (RFC 6120 section 10.1). So, where no stream broke in between,
what has not arrived before a marker that was sent after it will not arrive any more: it is lost, not late.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lab.federation.outcomes import Delivers
from lab.federation.rooms import Room
from lab.history.events import RouteSettled

if TYPE_CHECKING:
    from lab.federation.messages import Message
    from lab.federation.network import Federation
    from lab.federation.people import Device

MARKER_DEADLINE = 20.0


async def settle(federation: Federation) -> None:
    """Put a marker on each route used, at once, and record for each whether it arrived."""
    routes = _routes(federation)
    await asyncio.gather(*(_mark(federation, device, to, used) for (device, to), used in routes.items()))


def _routes(federation: Federation) -> dict[tuple[Device, Device], list[Message]]:
    """(sending device, receiving device) to the messages that went that way; a room is many routes."""
    routes: dict[tuple[Device, Device], list[Message]] = {}
    for message in federation.messages.values():
        if message.marker or not isinstance(message.promise, Delivers) or isinstance(message.receiver, Room):
            continue
        for device in message.receiver.devices:
            routes.setdefault((message.device, device), []).append(message)
    return routes


async def _mark(federation: Federation, device: Device, to: Device, used: list[Message]) -> None:
    sender, receiver = device.jid, to.jid

    def record(arrived: bool, detail: str, broken: bool = False) -> None:
        federation.history.record(
            RouteSettled(
                at=federation.history.now(),
                sender=sender,
                receiver=receiver,
                arrived=arrived,
                broken=broken,
                detail=detail,
            )
        )

    gone = [one.jid for one in (device, to) if not one.connected]
    if gone:
        record(False, f"not connected at the end: {', '.join(gone)}")
        return
    marker = await federation.send(device, to.person, federation.control, marker=receiver)
    outcome = await marker.outcome(MARKER_DEADLINE)
    broken = federation.broken(device, since=used) or federation.broken(to, since=used)
    record(bool(outcome.deliveries), str(outcome), broken)
