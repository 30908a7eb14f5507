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


def _routes(federation: Federation) -> dict[tuple[Device, Device | Room], list[Message]]:
    """(sending device, receiving device or room) to the messages that went that way."""
    routes: dict[tuple[Device, Device | Room], list[Message]] = {}
    for message in federation.messages.values():
        if message.marker or not isinstance(message.promise, Delivers):
            continue
        receiver = message.receiver
        for end in (receiver,) if isinstance(receiver, Room) else receiver.devices:
            routes.setdefault((message.device, end), []).append(message)
    return routes


async def _mark(federation: Federation, device: Device, to: Device | Room, used: list[Message]) -> None:
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

    ends = _devices(device, to)
    gone = [one.jid for one in ends if not one.connected]
    if gone:
        record(False, f"not connected at the end: {', '.join(gone)}")
        return
    person = to if isinstance(to, Room) else to.person
    marker = await federation.send(device, person, federation.control, marker=receiver)
    outcome = await marker.outcome(MARKER_DEADLINE)
    broken = any(federation.broken(one, since=used) for one in ends)
    record(outcome.settled and bool(outcome.deliveries), str(outcome), broken)


def _devices(device: Device, to: Device | Room) -> list[Device]:
    """Every device whose stream a route goes through."""
    return [device, *to.devices()] if isinstance(to, Room) else [device, to]
