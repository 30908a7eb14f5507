"""Messages to a user of a linked server."""

from __future__ import annotations

from lab.declarations.load_kind import MESSAGE
from lab.load.workload.actions import Action, Draw, DrawContext, KindCode
from lab.load.workload.traffic import TrafficPart


def build_draw(context: DrawContext, part: TrafficPart) -> Draw:
    """Draws a sender, a server that is linked to the sender's, and any user there."""
    receivers, random = context.receivers, context.random
    servers = context.population.servers
    linked = [[server for server in others if receivers[server]] for others in context.population.neighbours]
    senders = context.senders(part, lambda user: user not in context.intermittent and linked[user % servers])
    count = len(senders)

    def draw() -> Action:
        sender = senders[int(random() * count)]
        others = linked[sender % servers]
        there = receivers[others[int(random() * len(others))]]
        return MESSAGE, sender, there[int(random() * len(there))], 0

    return draw


KIND = KindCode(build_draw)
