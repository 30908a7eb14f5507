"""Messages to oneself."""

from __future__ import annotations

from lab.declarations.load_kind import MESSAGE
from lab.load.workload.actions import Action, Draw, DrawContext, KindCode
from lab.load.workload.traffic import TrafficPart


def build_draw(context: DrawContext, part: TrafficPart) -> Draw:
    """Any user of the worker's, to themselves."""
    senders = context.senders(part, lambda user: True)

    def draw() -> Action:
        user = senders[int(context.random() * len(senders))]
        return MESSAGE, user, user, 0

    return draw


KIND = KindCode(build_draw)
