"""Rooms (XEP-0045): hosted by one server, joined from many."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from lab.errors import TimedOut, UserError

if TYPE_CHECKING:
    from lab.federation.network import Federation
    from lab.federation.people import Device, Person
    from lab.federation.servers import ServerHandle

JOIN_DEADLINE = 30.0
# Presences that are on their way come within a round trip; asking more often only costs.
ASK_AGAIN = 0.05


class Room:
    """A room and who is in it. Each person is in it with the first device, under their own name as nickname."""

    def __init__(self, federation: Federation, host: ServerHandle, name: str) -> None:
        self.federation = federation
        self.server = host
        self.name = name
        self.jid = f"{name}@conference.{host.domain}"
        self.occupants: list[Person] = []

    async def join(self, *people: Person) -> None:
        """Let people in. Returns once each occupant sees all of them. Raises TimedOut."""
        for person in people:
            await self.federation.call(
                "join", person.device.key, room=self.jid, nick=self.nick(person), timeout=JOIN_DEADLINE
            )
            if not self.occupants:
                # A new room is locked until its owner has configured it (XEP-0045 section 10.1.2).
                await self.federation.call("configure_room", person.device.key, room=self.jid, values={})
            self.occupants.append(person)
        await self.converged(within=JOIN_DEADLINE)

    async def leave(self, person: Person) -> None:
        """Let somebody out. Returns once the room has confirmed it."""
        await self.federation.call("leave", person.device.key, room=self.jid, nick=self.nick(person))
        self.occupants.remove(person)

    def nick(self, person: Person) -> str:
        """The nickname of a person here: the name, and the server's, since two may share a name."""
        return f"{person.name}.{person.server.name}"

    async def converged(self, within: str | float = 60.0) -> None:
        """Wait until every occupant sees exactly the occupants, and each message reached all. Raises TimedOut."""
        want = {f"{self.jid}/{self.nick(person)}" for person in self.occupants}
        views: dict[str, set[str]] = {}
        try:
            async with asyncio.timeout(seconds(within)):
                while True:
                    views = {person.jid: await self._view(person.device) for person in self.occupants}
                    if all(view == want for view in views.values()) and not self._missing():
                        return
                    await asyncio.sleep(ASK_AGAIN)
        except TimeoutError:
            evidence = [
                f"{jid} misses {sorted(want - view)}, has too many {sorted(view - want)}"
                for jid, view in views.items()
                if view != want
            ]
            raise TimedOut(f"room {self.jid} did not agree within {within}", (*evidence, *self._missing())) from None

    def devices(self) -> list[Device]:
        """Every device that is in the room: a message to it is meant for all of them, its sender's included."""
        return [person.device for person in self.occupants]

    def _missing(self) -> tuple[str, ...]:
        mine = [one for one in self.federation.messages.values() if one.receiver is self]
        return tuple(f"{one} has not reached everyone" for one in mine if not one.settled)

    async def _view(self, device: Device) -> set[str]:
        answer = await self.federation.call("occupants", device.key, room=self.jid)
        return set(answer["occupants"])

    def __str__(self) -> str:
        return self.jid


def seconds(duration: str | float) -> float:
    """Seconds of a duration such as "60s", "500ms" or 1.5. Raises UserError."""
    if isinstance(duration, int | float):
        return float(duration)
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min)\s*", duration)
    if not found:
        raise UserError(f"{duration!r} is not a duration: write 60s, 500ms or 2min")
    return float(found[1]) * {"ms": 0.001, "s": 1.0, "min": 60.0}[found[2]]
