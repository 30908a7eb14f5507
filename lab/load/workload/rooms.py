"""Rooms of a load: everybody is in one, on their own server or on a linked one, except who goes and comes."""

from __future__ import annotations

from dataclasses import dataclass

from lab.errors import UserError
from lab.load.model.spec import seeded_rng
from lab.load.workload.population import People


@dataclass(frozen=True)
class Room:
    """A room on server number `server`; `members` are users, ascending. Its name is loadroom<number + 1>."""

    number: int
    server: int
    members: tuple[int, ...]

    @property
    def name(self) -> str:
        """The local part of its address."""
        return f"loadroom{self.number + 1}"


def rooms(people: People, size: int, seed: int, without: frozenset[int] = frozenset()) -> tuple[Room, ...]:
    """Deal all users into rooms of `size`; the last room of a server has what is left. Raises UserError below 2."""
    if size < 2:
        raise UserError(f"size={size}: a room needs two people or more")
    drawn = seeded_rng(seed, "rooms", size)
    order = list(range(people.users))
    drawn.shuffle(order)
    waiting: list[list[int]] = [[] for _ in range(people.servers)]
    full: list[tuple[int, list[int]]] = []
    for user in order:
        if user in without:
            continue
        home = people.server_of(user)
        host = drawn.choice([home, *people.neighbours[home]])
        waiting[host].append(user)
        if len(waiting[host]) == size:
            full.append((host, waiting[host]))
            waiting[host] = []
    full += [(host, members) for host, members in enumerate(waiting) if members]
    return tuple(Room(number, host, tuple(sorted(members))) for number, (host, members) in enumerate(full))
