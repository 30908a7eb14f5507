"""The end of a scenario: a marker follows the messages on every route that was used.

XMPP keeps the order of stanzas between two full JIDs (RFC 6120 section 10.1). So, where no stream broke in between,
a message that has not arrived before a marker that was sent after it will not arrive any more: it is lost, not late.

What a client of a person's own has sent, and is missing, has a marker behind it from a device of the lab's on the same
server: both go over one stream to the other server. What a scripted server has sent it follows up itself, see `Peer`.
"""

from __future__ import annotations

import asyncio

from lab.federation.devices import Device
from lab.federation.outcomes import Delivers
from lab.federation.participants import Participants, is_blocked
from lab.federation.rooms import Room
from lab.history.events import Disconnected, RouteSettled, Sent
from lab.history.recorder import Recorder
from lab.metrics.record import RunRecord

MARKER_DEADLINE = 20.0  # seconds, and the allowance of the route

#: (sending device, receiving device or room) to the place in the history where the route was first used.
Routes = dict[tuple[Device, Device | Room], int]


async def settle(participants: Participants) -> None:
    """Send a marker on each route that was used, at once, and record for each whether it arrived."""
    routes = _routes(participants)
    routes |= _routes_of_own_clients(participants, routes)
    await asyncio.gather(*(_mark(participants, device, to, since) for (device, to), since in routes.items()))


def _routes(participants: Participants) -> Routes:
    """The routes that messages of the lab's devices took."""
    places = {event: place for place, event in enumerate(participants.context.history.events) if type(event) is Sent}
    routes: Routes = {}
    for sent, message in participants.messages.items():
        if message.marker or message.blocked or not isinstance(message.promise, Delivers):
            continue
        receiver, sender = message.receiver, message.device
        if not isinstance(sender, Device):  # a guest: see _routes_of_own_clients
            continue
        ends = (receiver,) if isinstance(receiver, Room) else receiver.devices
        if message.to_device is not None and message.to_device.jid in message.expected:
            ends = [message.to_device]
        for end in ends:
            routes.setdefault((sender, end), places[sent])
    return routes


def _routes_of_own_clients(participants: Participants, known: Routes) -> Routes:
    """For what is missing of people's own clients: from a device of the same server, unless one has that route."""
    context = participants.context
    record = RunRecord(tuple(context.history.events), context.lab.plan)
    devices = [one for one in participants.devices.values() if one.connected]
    served = {(device.person.server.name, to.jid) for device, to in known}
    routes: Routes = {}
    for place, sent in record.foreign.items():
        home = record.find_server(sent.sender)
        if home is None or record.bounces.get(sent):
            continue
        got = {one.device for one in record.deliveries.get(sent, ())}
        for to in devices:
            if to.jid not in sent.expected or to.jid in got or (home.name, to.jid) in served:
                continue
            near = [one for one in devices if one.person.server.name == home.name and not is_blocked(one, to)]
            for device in near[:1]:
                routes[device, to] = place
                served.add((home.name, to.jid))
    return routes


async def _mark(participants: Participants, device: Device, to: Device | Room, since: int) -> None:
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
        broken = any(ended_since(context.history, one.jid, since) for one in ends)
        record(False, f"not connected at the end: {', '.join(gone)}", broken)
        return
    if is_blocked(device, to):
        record(False, "blocked at the end: no marker can arrive")
        return
    marker = await participants.send(device, to, context.control, marker=True)
    outcome = await marker.outcome(MARKER_DEADLINE + marker.allowance())
    broken = any(ended_since(context.history, one.jid, since) for one in ends)
    record(outcome.settled and bool(outcome.deliveries), str(outcome), broken)


def _devices(device: Device, to: Device | Room) -> list[Device]:
    """Every device whose stream a route goes through."""
    return [device, *to.devices()] if isinstance(to, Room) else [device, to]


def ended_since(history: Recorder, device: str, place: int) -> bool:
    """Whether a stream of this device (a full JID) ended after this place of the history."""
    return any(isinstance(event, Disconnected) and event.device == device for event in history.events[place:])
