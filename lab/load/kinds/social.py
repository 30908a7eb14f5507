"""Messages to a contact of the sender, in the seeded graph of lab.load.workload.population."""

from __future__ import annotations

from lab.declarations.load_kind import MESSAGE
from lab.load.workload.actions import Action, Draw, DrawContext, KindCode
from lab.load.workload.population import plan_contacts
from lab.load.workload.traffic import TrafficPart


def build_draw(context: DrawContext, part: TrafficPart) -> Draw:
    """Draws a sender who has contacts, and one of them."""
    contacts, random = plan_contacts(context.population, part.number, context.seed), context.random
    if context.intermittent:
        contacts = [[other for other in others if other not in context.intermittent] for others in contacts]
    senders = context.senders(part, lambda user: user not in context.intermittent and contacts[user])
    count = len(senders)

    def draw() -> Action:
        sender = senders[int(random() * count)]
        others = contacts[sender]
        return MESSAGE, sender, others[int(random() * len(others))], 0

    return draw


KIND = KindCode(build_draw)
