"""Rooms that people meet in (XEP-0045)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lab.errors import TimedOut
from lab.federation.context import seconds
from lab.federation.devices import Device
from lab.federation.people import Person

if TYPE_CHECKING:
    from lab.federation.participants import Participants
    from lab.federation.servers import ServerHandle

# All in seconds.
JOIN_DEADLINE = 30.0
# Presences that are on their way arrive within a round trip; asking more often only costs.
ROOM_POLL_INTERVAL = 0.05


class Room:
    """A room and its occupants (XEP-0045). Made by `ServerHandle.room`.

    Each person is in it with their first device; the nickname is made of their name and their server's.
    """

    def __init__(self, participants: Participants, host: ServerHandle, name: str) -> None:
        self.participants = participants
        self.context = participants.context
        self.server = host
        self.name = name
        self.jid = f"{name}@conference.{host.domain}"
        self.occupants: list[Person] = []  # as the room's presences have it: who is removed, or disconnects, is none
        self._made = False
        participants.rooms[self.jid] = self

    async def join(self, *people: Person) -> None:
        """Let people join (XEP-0045 section 7.2). Returns once each occupant sees all of them.

        Raises PeerError if the room refuses one, TimedOut after 30 seconds.
        """
        for person in people:
            await self.context.call(
                "join", person.device.key, room=self.jid, nick=self.nick(person), timeout=JOIN_DEADLINE
            )
            if not self._made:
                # A new room is locked until its owner has configured it (XEP-0045 section 10.1.2).
                await self.context.call("configure_room", person.device.key, room=self.jid, values={})
                self._made = True
            if person not in self.occupants:
                self.occupants.append(person)
        await self.converged(within=JOIN_DEADLINE)

    async def leave(self, person: Person) -> None:
        """Let a person leave (XEP-0045 section 7.14). Returns once the room has confirmed it.

        Raises UserError if the person is not in the room, TimedOut.
        """
        await self.context.call("leave", person.device.key, room=self.jid, nick=self.nick(person))
        self.remove(person.device)

    def remove(self, device: Device) -> bool:
        """Take a device out that is no occupant any more; whether it was one. Called by the federation."""
        if device.person not in self.occupants or device is not device.person.device:
            return False
        self.occupants.remove(device.person)
        return True

    def nick(self, person: Person) -> str:
        """The nickname of a person in this room: the name and the server's, since two may share a name."""
        return f"{person.name}.{person.server.name}"

    async def converged(self, within: str | float = 60.0) -> None:
        """Wait until each occupant sees exactly the occupants, and each message to the room has reached all of them.

        `within` is in seconds, or a text such as "60s". Raises TimedOut with what each occupant misses.
        """
        want = {f"{self.jid}/{self.nick(person)}" for person in self.occupants}
        views: dict[str, set[str]] = {}
        try:
            async with asyncio.timeout(seconds(within)):
                while True:
                    views = {person.jid: await self._view(person.device) for person in self.occupants}
                    if all(view == want for view in views.values()) and not self._missing():
                        return
                    await asyncio.sleep(ROOM_POLL_INTERVAL)
        except TimeoutError:
            evidence = [
                f"{jid} misses {sorted(want - view)}, has too many {sorted(view - want)}"
                for jid, view in views.items()
                if view != want
            ]
            raise TimedOut(f"room {self.jid} did not agree within {within}", (*evidence, *self._missing())) from None

    def devices(self) -> list[Device]:
        """Every device in the room: a message to the room is for all of them, also for its sender's."""
        return [person.device for person in self.occupants]

    def _missing(self) -> tuple[str, ...]:
        mine = [one for one in self.participants.messages.values() if one.receiver is self]
        return tuple(f"{one} has not reached everyone" for one in mine if not one.settled)

    async def _view(self, device: Device) -> set[str]:
        answer = await self.context.call("occupants", device.key, room=self.jid)
        return set(answer["occupants"])

    def __str__(self) -> str:
        return self.jid
