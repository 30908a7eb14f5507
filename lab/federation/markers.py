"""The end of a scenario: a marker follows the messages on every route that was used.

XMPP keeps the order of stanzas between two full JIDs (RFC 6120 section 10.1). So, where no stream broke in between,
a message that has not arrived before a marker that was sent after it will not arrive any more: it is lost, not late.
"""

from __future__ import annotations

import asyncio

from lab.federation.devices import Device
from lab.federation.messages import Message
from lab.federation.outcomes import Delivers
from lab.federation.participants import Participants, is_blocked
from lab.federation.rooms import Room
from lab.history.events import Disconnected, RouteSettled, Sent
from lab.history.recorder import Recorder

MARKER_DEADLINE = 20.0  # seconds


async def settle(participants: Participants) -> None:
    """Send a marker on each route that was used, at once, and record for each whether it arrived."""
    routes = _routes(participants)
    await asyncio.gather(*(_mark(participants, device, to, used) for (device, to), used in routes.items()))


def _routes(participants: Participants) -> dict[tuple[Device, Device | Room], list[Message]]:
    """(sending device, receiving device or room) to the messages that took this route."""
    routes: dict[tuple[Device, Device | Room], list[Message]] = {}
    for message in participants.messages.values():
        if message.marker or message.blocked or not isinstance(message.promise, Delivers):
            continue
        receiver = message.receiver
        ends = (receiver,) if isinstance(receiver, Room) else receiver.devices
        if message.to_device is not None and message.to_device.jid in message.expected:
            ends = [message.to_device]
        for end in ends:
            routes.setdefault((message.device, end), []).append(message)
    return routes


async def _mark(participants: Participants, device: Device, to: Device | Room, used: list[Message]) -> None:
    context = participants.context
    sender, receiver = device.jid, to.jid

    def record(arrived: bool, detail: str, broken: bool = False) -> None:
        context.history.record(
            RouteSettled(
                at=context.history.now(),
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
        broken = any(_broken(context.history, one, since=used) for one in ends)
        record(False, f"not connected at the end: {', '.join(gone)}", broken)
        return
    if is_blocked(device, to):
        record(False, "blocked at the end: no marker can arrive")
        return
    marker = await participants.send(device, to, context.control, marker=True)
    outcome = await marker.outcome(MARKER_DEADLINE)
    broken = any(_broken(context.history, one, since=used) for one in ends)
    record(outcome.settled and bool(outcome.deliveries), str(outcome), broken)


def _devices(device: Device, to: Device | Room) -> list[Device]:
    """Every device whose stream a route goes through."""
    return [device, *to.devices()] if isinstance(to, Room) else [device, to]


def _broken(history: Recorder, device: Device, *, since: list[Message]) -> bool:
    """True if a stream of this device ended after the first of these messages was sent."""
    ids = {message.id for message in since}
    started = False
    for event in history.events:
        started = started or (isinstance(event, Sent) and event.message in ids)
        if started and isinstance(event, Disconnected) and event.device == device.jid:
            return True
    return False
