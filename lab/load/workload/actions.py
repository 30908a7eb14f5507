"""Actions of users and how they are drawn: what the code of a load kind (lab.load.kinds) is made of.

A draw is a function without arguments, made once for each worker and part of the traffic: it visits the users when it
is made, and takes constant time afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from lab.declarations.load_kind import Receivers
from lab.errors import UserError
from lab.load.workload.population import Population
from lab.load.workload.requests import RequestKind
from lab.load.workload.traffic import TrafficPart

#: What one user does once: the name of the action, the sender, the receiver (a user, the number of a room, or the
#: sender where there is none), and bytes (of an upload). A plain tuple, since there is one for each message.
Action = tuple[str, int, int, int]
Draw = Callable[[], Action]


class DrawContext:
    """What draws choose from: the users of a worker, and a random number generator."""

    def __init__(
        self, population: Population, owned: range, rng: Random, seed: int, intermittent: frozenset[int] = frozenset()
    ) -> None:
        self.population, self.owned, self.seed, self.intermittent = population, owned, seed, intermittent
        self.random = rng.random
        servers = population.servers
        everybody = [range(server, population.users, servers) for server in range(servers)]
        #: By server, the users who may be written to.
        self.receivers: list[Sequence[int]] = [
            [user for user in users if user not in intermittent] if intermittent else users for users in everybody
        ]

    def senders(self, part: TrafficPart, able: Callable[[int], object]) -> Sequence[int]:
        """The owned users who are able. Raises UserError if nobody is."""
        found = [user for user in self.owned if able(user)]
        if not found:
            raise UserError(
                f"traffic {part.kind.name!r}: of this worker's {len(self.owned)} users nobody has anybody to write to, "
                f"or all of them have another part in the mix; take more users, other links, or a number of workers "
                f"without a factor in common with the number of servers ({self.population.servers})"
            )
        return self.owned if len(found) == len(self.owned) else found


@dataclass(frozen=True)
class KindCode:
    """The code of a load kind. Each module of lab.load.kinds has one, as `KIND`."""

    build_draw: Callable[[DrawContext, TrafficPart], Draw]
    requests: type[RequestKind] | None = None  # of an action that is a request


def draw_without_receiver(context: DrawContext, part: TrafficPart) -> Draw:
    """A draw of the part's action that needs no other user: who does it, and the option as its size."""
    action, size = part.kind.action, part.number if part.kind.option and part.kind.option.in_bytes else 0
    senders, random = context.senders(part, lambda user: _may_act(context, part, user)), context.random
    count = len(senders)

    def draw() -> Action:
        sender = senders[int(random() * count)]
        return action, sender, sender, size

    return draw


def draw_mixed(draws: list[Draw], weights: list[float], rng: Random) -> Draw:
    """A draw of several, by weight."""
    edges, random = list(accumulate(weights)), rng.random
    whole = edges[-1]
    pairs = list(zip(edges, draws, strict=True))

    def draw() -> Action:
        at = random() * whole
        for edge, one in pairs:  # a handful
            if at < edge:
                return one()
        return draws[-1]()

    return draw


def _may_act(context: DrawContext, part: TrafficPart, user: int) -> bool:
    """Whether a user may act: of intermittent users each logs out and in, and none changes presence."""
    if not context.intermittent:
        return True
    if part.kind.logs_out:
        return user in context.intermittent
    return part.kind.receivers is not Receivers.CONTACTS or user not in context.intermittent
