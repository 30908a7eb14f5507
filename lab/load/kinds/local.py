"""Messages to another user of the sender's server."""

from __future__ import annotations

from lab.declarations.load_kind import MESSAGE
from lab.load.workload.actions import Action, Draw, DrawContext, KindCode
from lab.load.workload.traffic import TrafficPart


def build_draw(context: DrawContext, part: TrafficPart) -> Draw:
    """Draws a sender who is not alone on the server, and any other user there."""
    receivers, random = context.receivers, context.random
    servers = context.population.servers
    senders = context.senders(
        part, lambda user: user not in context.intermittent and len(receivers[user % servers]) > 1
    )
    count = len(senders)

    def draw() -> Action:
        sender = senders[int(random() * count)]
        others = receivers[sender % servers]
        receiver = sender
        while receiver == sender:
            receiver = others[int(random() * len(others))]
        return MESSAGE, sender, receiver, 0

    return draw


KIND = KindCode(build_draw)
