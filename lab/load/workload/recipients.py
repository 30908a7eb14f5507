"""Who should get what is written: a user, everybody in a room, everybody who is subscribed to a presence.

Also who goes and comes: in a mix of logins with something else every fourth person, who is in no room, whom nobody
writes to, and whose sight of presences nobody counts (lab.load.workload.traffic_mix says why, and how to have it
otherwise).
"""

from __future__ import annotations

from collections.abc import Iterable

from lab.load.metrics.ledger import Missing
from lab.load.model import message_id
from lab.load.model.spec import Load
from lab.load.workload.rooms import Room
from lab.load.workload.traffic_mix import parse

#: Before the route of a presence: they go to several people, and what one costs is not what a message costs.
PRESENCE = "presence "


class Audience:
    """Of one load, alike in every worker. Takes a look at each user."""

    def __init__(self, load: Load) -> None:
        traffic = parse(load.traffic)
        self.rooms: tuple[Room, ...] = traffic.rooms(load, load.seed)
        self.contacts = traffic.contacts(load, load.seed)  # by user; [] where nobody needs any
        self.goers = traffic.goers(load, load.seed)
        told = self.contacts if traffic.presences else []
        self.told = [frozenset(others) - self.goers for others in told]  # by user: who counts their presence
        self.server_routes, self._servers = routes(load), len(load.endpoints)

    def receivers(self, flags: int, target: int) -> Iterable[int]:
        """Who should get what has that target, by the flags of its mark."""
        if flags & message_id.ROOM:
            return self.rooms[target].members
        if flags & message_id.PRESENCE:
            return sorted(self.told[target])
        return (target,)

    def size(self, flags: int, target: int) -> int:
        """How many should get it."""
        if flags & message_id.ROOM:
            return len(self.rooms[target].members)
        return len(self.told[target]) if flags & message_id.PRESENCE else 1

    def route(self, flags: int, sender: int, receiver: int) -> str:
        """The route between two people: "room", "local", "a->b", or one of the last two with "presence "."""
        if flags & message_id.ROOM:
            return "room"
        name = self.server_routes[sender % self._servers][receiver % self._servers]
        return PRESENCE + name if flags & message_id.PRESENCE else name

    def route_of(self, missing: Missing) -> str:
        """The route of something that is missing."""
        flags = message_id.ROOM * (missing.room is not None) | message_id.PRESENCE * missing.presence
        return self.route(flags, missing.sender, missing.receiver)


def routes(load: Load) -> list[list[str]]:
    """The route from each endpoint's users to each endpoint's: "local" or "a->b"."""
    names = [endpoint.server for endpoint in load.endpoints]
    return [["local" if a == b else f"{a}->{b}" for b in names] for a in names]
