"""Where the users of a load live: user u (from 0) on server u modulo the number of servers, as load1, load2, ...

Worker k of n owns the users whose number is k modulo n. Where n and the number of servers share a factor, a worker has
users of some servers only: all users still send, and each server still gets its part, since the workers together
have everybody. Each worker deals its n-th of the rate over those of its own users who have somebody to write to.
"""

from __future__ import annotations

from lab.errors import UserError
from lab.load.model.spec import Load, Shard


class People:
    """Look-ups of a load's users, each in constant time."""

    def __init__(self, load: Load) -> None:
        self.users = load.users
        self.servers = len(load.endpoints)
        self._names = [endpoint.server for endpoint in load.endpoints]
        self._domains = {endpoint.domain: index for index, endpoint in enumerate(load.endpoints)}
        number = {name: index for index, name in enumerate(self._names)}
        #: Linked servers that have users, by number, for each server.
        self.neighbours = [
            [number[name] for name in endpoint.neighbours if name in number and self.count(number[name])]
            for endpoint in load.endpoints
        ]

    def server_of(self, user: int) -> int:
        """The number of the user's server."""
        return user % self.servers

    def name(self, user: int) -> str:
        """The user's name on their server (the local part of the address)."""
        return f"load{user // self.servers + 1}"

    def number(self, address: str) -> int | None:
        """The user who has that address, with or without a resource; None if it is nobody of the load."""
        local, _, domain = address.partition("/")[0].partition("@")
        place = local.removeprefix("load")
        if domain not in self._domains or local == place or not place.isdecimal():
            return None
        user = (int(place) - 1) * self.servers + self._domains[domain]
        return user if 0 <= user < self.users else None

    def count(self, server: int) -> int:
        """How many users live on a server."""
        return (self.users - server + self.servers - 1) // self.servers

    def route(self, sender: int, receiver: int) -> str:
        """The name under which a message between two users is counted: "local", or "a->b" by servers' names."""
        a, b = sender % self.servers, receiver % self.servers
        return "local" if a == b else f"{self._names[a]}->{self._names[b]}"

    def reaches(self, a: int, b: int) -> bool:
        """True if messages go between two servers: they are the same, or linked (a link has both directions)."""
        return a == b or b in self.neighbours[a]

    def owned(self, shard: Shard) -> range:
        """A worker's users. Raises UserError if there are none."""
        users = range(shard.index, self.users, shard.of)
        if not users:
            raise UserError(
                f"{self.users} users for {shard.of} workers: take at least a user for each, or fewer workers"
            )
        return users
