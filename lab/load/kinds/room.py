"""Messages to the room of the sender (XEP-0045), in the seeded division of lab.load.workload.population."""

from __future__ import annotations

from lab.declarations.load_kind import ROOM
from lab.load.workload.actions import Action, Draw, DrawContext, KindCode
from lab.load.workload.population import plan_rooms
from lab.load.workload.traffic import TrafficPart


def build_draw(context: DrawContext, part: TrafficPart) -> Draw:
    """Draws a member of a room."""
    rooms = plan_rooms(context.population, part.number, context.seed, without=context.intermittent)
    room_of = {user: room.number for room in rooms for user in room.members}
    senders, random = context.senders(part, room_of.__contains__), context.random
    count = len(senders)

    def draw() -> Action:
        sender = senders[int(random() * count)]
        return ROOM, sender, room_of[sender], 0

    return draw


KIND = KindCode(build_draw)
