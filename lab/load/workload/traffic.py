"""How acts are drawn, a function for each kind of traffic: a look over the people once, then constant time each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from random import Random

from lab.errors import UserError
from lab.load.workload.population import People
from lab.load.workload.rooms import rooms
from lab.load.workload.social import contacts


class Kind(StrEnum):
    """What an act is."""

    MESSAGE = "message"
    ROOM = "room"
    PRESENCE = "presence"
    LOGIN = "login"
    ROSTER = "roster"
    ARCHIVE = "archive"
    UPLOAD = "upload"


_MESSAGE = Kind.MESSAGE  # asking the class for a member takes longer than all else of a draw


#: One thing to do: its kind, the sender, the receiver (a user, for a room its number, where there is none the sender),
#: and bytes, of an upload only. A plain tuple: one per message.
Act = tuple[Kind, int, int, int]
Draw = Callable[[], Act]


@dataclass(frozen=True)
class Part:
    """A kind of traffic with its options, and how often it is drawn among others."""

    name: str
    number: int = 0  # its option: degree, size
    weight: float = 1.0


class Place:
    """What a kind draws from: the worker's people and its own chance."""

    def __init__(
        self, people: People, owned: range, drawn: Random, seed: int, goers: frozenset[int] = frozenset()
    ) -> None:
        self.people, self.owned, self.seed, self.goers = people, owned, seed, goers
        self.random = drawn.random
        everybody = [range(server, people.users, people.servers) for server in range(people.servers)]
        #: By server, who may be written to.
        self.there: list[Sequence[int]] = [
            [user for user in users if user not in goers] if goers else users for users in everybody
        ]

    def senders(self, part: Part, able: Callable[[int], object]) -> Sequence[int]:
        """The owned users who are able. Raises UserError if nobody is."""
        found = [user for user in self.owned if able(user)]
        if not found:
            raise UserError(
                f"traffic {part.name!r}: of this worker's {len(self.owned)} users nobody has anybody to write to, or "
                f"all of them have another part in the mix; take more users, other links, or a number of workers "
                f"without a factor in common with the number of servers ({self.people.servers})"
            )
        return self.owned if len(found) == len(self.owned) else found


def local(place: Place, part: Part) -> Draw:
    """Messages to somebody else on the sender's own server."""
    there, random = place.there, place.random
    servers = place.people.servers
    senders = place.senders(part, lambda user: user not in place.goers and len(there[user % servers]) > 1)
    many = len(senders)

    def draw() -> Act:
        sender = senders[int(random() * many)]
        others = there[sender % servers]
        receiver = sender
        while receiver == sender:
            receiver = others[int(random() * len(others))]
        return _MESSAGE, sender, receiver, 0

    return draw


def neighbours(place: Place, part: Part) -> Draw:
    """Messages to somebody on a linked server."""
    there, random = place.there, place.random
    servers = place.people.servers
    linked = [[server for server in others if there[server]] for others in place.people.neighbours]
    senders = place.senders(part, lambda user: user not in place.goers and linked[user % servers])
    many = len(senders)

    def draw() -> Act:
        sender = senders[int(random() * many)]
        others = linked[sender % servers]
        receivers = there[others[int(random() * len(others))]]
        return _MESSAGE, sender, receivers[int(random() * len(receivers))], 0

    return draw


def social(place: Place, part: Part) -> Draw:
    """Messages to somebody the sender knows."""
    known, random = contacts(place.people, part.number, place.seed), place.random
    if place.goers:
        known = [[other for other in others if other not in place.goers] for others in known]
    senders = place.senders(part, lambda user: user not in place.goers and known[user])
    many = len(senders)

    def draw() -> Act:
        sender = senders[int(random() * many)]
        others = known[sender]
        return _MESSAGE, sender, others[int(random() * len(others))], 0

    return draw


def room(place: Place, part: Part) -> Draw:
    """Messages to the sender's room."""
    dealt = rooms(place.people, part.number, place.seed, without=place.goers)
    of = {user: room.number for room in dealt for user in room.members}
    senders, random = place.senders(part, of.__contains__), place.random
    many = len(senders)

    def draw() -> Act:
        sender = senders[int(random() * many)]
        return Kind.ROOM, sender, of[sender], 0

    return draw


def alone(kind: Kind) -> Callable[[Place, Part], Draw]:
    """Acts of that kind, which need nobody else."""

    def build(place: Place, part: Part) -> Draw:
        size = part.number if kind is Kind.UPLOAD else 0
        senders, random = place.senders(part, lambda user: _able(kind, user, place.goers)), place.random
        many = len(senders)

        def draw() -> Act:
            sender = senders[int(random() * many)]
            return kind, sender, sender, size

        return draw

    return build


def _able(kind: Kind, user: int, goers: frozenset[int]) -> bool:
    """Whether somebody may do such an act; `goers` are those who alone log out and in, nobody where all may."""
    if not goers or kind not in (Kind.LOGIN, Kind.PRESENCE):
        return True
    return (user in goers) is (kind is Kind.LOGIN)


def mixed(draws: list[Draw], weights: list[float], drawn: Random) -> Draw:
    """Acts of several kinds, by weight."""
    edges, random = list(accumulate(weights)), drawn.random
    whole = edges[-1]
    pairs = list(zip(edges, draws, strict=True))

    def draw() -> Act:
        at = random() * whole
        for edge, one in pairs:  # a handful
            if at < edge:
                return one()
        return draws[-1]()

    return draw
