"""Who should receive what is written: a user, the members of a room, the subscribers of a presence."""

from __future__ import annotations

from collections.abc import Iterable

from lab.load.metrics.ledger import MissingMessage
from lab.load.model import message_id
from lab.load.model.spec import Load
from lab.load.workload.population import RoomPlan
from lab.load.workload.traffic import parse_traffic

#: Before the route of a presence: it goes to several users, and does not cost what a message costs.
PRESENCE = "presence "


class Recipients:
    """The recipients of one load, the same in every worker. Visits each user."""

    def __init__(self, load: Load) -> None:
        traffic = parse_traffic(load.traffic)
        self.rooms: tuple[RoomPlan, ...] = traffic.rooms(load, load.seed)
        self.contacts = traffic.contacts(load, load.seed)  # by user; [] where no roster is needed
        self.intermittent = traffic.intermittent(load, load.seed)  # see lab.load.workload.traffic
        subscribed = self.contacts if traffic.presences else []
        #: By user, those whose receipts of the user's presence are counted.
        self.subscribers = [frozenset(others) - self.intermittent for others in subscribed]
        self.server_routes, self._servers = list_routes(load), len(load.endpoints)

    def receivers(self, flags: int, target: int) -> Iterable[int]:
        """Who should receive what has that target, by the flags of its id (lab.load.model.message_id)."""
        if flags & message_id.ROOM:
            return self.rooms[target].members
        if flags & message_id.PRESENCE:
            return sorted(self.subscribers[target])
        return (target,)

    def size(self, flags: int, target: int) -> int:
        """How many should receive it."""
        if flags & message_id.ROOM:
            return len(self.rooms[target].members)
        return len(self.subscribers[target]) if flags & message_id.PRESENCE else 1

    def route(self, flags: int, sender: int, receiver: int) -> str:
        """The route between two users: "room", "local", "a->b", or one of the last two with "presence "."""
        if flags & message_id.ROOM:
            return "room"
        name = self.server_routes[sender % self._servers][receiver % self._servers]
        return PRESENCE + name if flags & message_id.PRESENCE else name

    def route_of(self, missing: MissingMessage) -> str:
        """The route of a missing message."""
        flags = message_id.ROOM * (missing.room is not None) | message_id.PRESENCE * missing.presence
        return self.route(flags, missing.sender, missing.receiver)


def list_routes(load: Load) -> list[list[str]]:
    """The route from each endpoint's users to each endpoint's: "local" or "a->b"."""
    names = [endpoint.server for endpoint in load.endpoints]
    return [["local" if a == b else f"{a}->{b}" for b in names] for a in names]
