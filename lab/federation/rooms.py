"""Rooms that people meet in (XEP-0045)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from lab.clients.rooms import READERS
from lab.errors import NotReceived, TimedOut, UserError
from lab.federation.context import describe_duration, read_duration
from lab.federation.devices import IQ_DEADLINE, Device, ask
from lab.federation.people import Person
from lab.history.events import AffiliationSet, OccupantsRead, RoomJoined, RoomLeft

if TYPE_CHECKING:
    from lab.federation.participants import Participants
    from lab.federation.servers import ServerHandle

# All in seconds.
JOIN_DEADLINE = 30.0
CONVERGED_DEADLINE = 60.0
# Who is removed learns of it within a round trip, unless something is cut: then nobody waits longer for it.
REMOVED_DEADLINE = 5.0
# Presences that are on their way arrive within a round trip; asking more often only costs.
ROOM_POLL_INTERVAL = 0.05

ADMIN = "http://jabber.org/protocol/muc#admin"
PING = "urn:xmpp:ping"
DISCO_INFO = "http://jabber.org/protocol/disco#info"
AFFILIATIONS = ("owner", "admin", "member", "none", "outcast")
ROLES = ("moderator", "participant", "visitor")
#: Errors that a ping to oneself gets from one's own client, or because one has just changed the nickname.
FROM_OCCUPANT = ("service-unavailable", "feature-not-implemented", "item-not-found")


class Room:
    """A room and its occupants (XEP-0045). Made by `ServerHandle.room`.

    Each person is in it with their first device; the nickname is made of their name and their server's.
    """

    def __init__(
        self,
        participants: Participants,
        host: ServerHandle,
        name: str,
        *,
        members_only: bool = False,
        non_anonymous: bool = False,
    ) -> None:
        """Nobody is in it yet: whoever joins first makes it, as it is described here."""
        self.participants = participants
        self.context = participants.context
        self.server = host
        self.name = name
        self.domain = f"conference.{host.domain}"  # of the service that hosts it
        self.jid = f"{name}@{self.domain}"
        self.occupants: list[Person] = []  # as the room's presences have it: who is removed, or disconnects, is none
        self.owner: Person | None = None  # who made it, the first who joined
        self.members_only = members_only  # only members enter
        self.non_anonymous = non_anonymous  # everybody sees everybody's real JID, not only moderators
        self.affiliations: dict[Person, str] = {}  # as they were set here; others have none
        self._made = False
        participants.rooms[self.jid] = self

    async def join(self, *people: Person) -> None:
        """Let people join (XEP-0045 section 7.2). Returns once each occupant sees all of them.

        The first one makes the room. Of a room for members only the owner makes the others members before. Raises
        PeerError if the room refuses one, TimedOut after 30 seconds and what slow links need more.
        """
        for person in people:
            timeout = JOIN_DEADLINE + self._allowance(person)
            if self._made and self.members_only and self.affiliations.get(person) not in READERS:
                await self.affiliation(person, "member")
            await self.context.call("join", person.device.key, room=self.jid, nick=self.nick(person), timeout=timeout)
            if not self._made:
                # A new room is locked until its owner has configured it (XEP-0045 section 10.1.2).
                special = self.members_only or self.non_anonymous
                values = _write_values(self.members_only, self.non_anonymous) if special else {}
                await self._configure(person, values)
                self._made = True
                self._affiliated(person, "owner")
            if person not in self.occupants:
                self.occupants.append(person)
            self.owner = self.owner or person
            now, device = self.context.history.now(), person.device
            self.context.history.record(RoomJoined(at=now, device=device.jid, room=self.jid, nick=self.nick(person)))
        await self.converged(within=JOIN_DEADLINE + self._allowance(*people) + self._allowance(*self.occupants))

    async def configure(self, *, members_only: bool | None = None, non_anonymous: bool | None = None) -> None:
        """Let the owner configure the room anew (XEP-0045 section 10.2): who enters, who sees whose JID.

        What is not given stays. Returns once the room has accepted it. Raises PeerError if it refuses, UserError if its
        owner is not connected.
        """
        members_only = self.members_only if members_only is None else members_only
        non_anonymous = self.non_anonymous if non_anonymous is None else non_anonymous
        await self._configure(self._by(None), _write_values(members_only, non_anonymous))
        self.members_only, self.non_anonymous = members_only, non_anonymous

    async def _configure(self, owner: Person, values: dict[str, str]) -> None:
        timeout = JOIN_DEADLINE + self._allowance(owner)
        await self.context.call("configure_room", owner.device.key, room=self.jid, values=values, timeout=timeout)

    async def leave(self, person: Person) -> None:
        """Let a person leave (XEP-0045 section 7.14). Returns once the room has confirmed it.

        Raises UserError if the person is not in the room, TimedOut.
        """
        timeout = JOIN_DEADLINE + self._allowance(person)
        await self.context.call("leave", person.device.key, room=self.jid, nick=self.nick(person), timeout=timeout)
        self.remove(person.device)

    async def rejoin(self, person: Person) -> None:
        """Let a person join again whom the room, or their stream, has lost (XEP-0410 section 3.3).

        Returns once each occupant sees all of them; raises as `join` does.
        """
        await self.join(person)

    async def self_ping(self, person: Person, within: str | float = IQ_DEADLINE) -> str:
        """Whether the room still has a person as an occupant, by a ping to themselves (XEP-0410 section 3.2).

        "joined", "not-joined" or "unreachable": the room's server cannot be reached. Who is not joined is no occupant
        any more. `within` is in seconds, or a text such as "10s". Raises UserError if the person is not connected,
        TimedOut without an answer.
        """
        device, me = person.device, f"{self.jid}/{self.nick(person)}"
        ping = f"<iq type='get' to={quoteattr(me)}><ping xmlns='{PING}'/></iq>"
        condition = (await device.iq(ping, within)).condition
        if condition == "item-not-found":  # ejabberd says so of a room that is gone, too
            ask_room = f"<iq type='get' to={quoteattr(self.jid)}><query xmlns='{DISCO_INFO}'/></iq>"
            gone = (await device.iq(ask_room, within)).condition == condition
        else:
            gone = False
        found = "not-joined" if gone else read_self_ping(condition)
        if found == "not-joined":
            self.remove(device)
        return found

    async def kick(self, person: Person, *, by: Person | None = None) -> None:
        """Remove an occupant (XEP-0045 section 8.2). `by` is who does it, the room's owner unless given.

        Returns once that one has seen them leave, and they have too, if it takes them at most 5 seconds. Raises
        PeerError if the room refuses, with `condition`, TimedOut after 30 seconds, UserError if `by` is not connected
        or not in the room.
        """
        item = f"<item nick={quoteattr(self.nick(person))} role='none'/>"
        await self._administer(item, f"kick {person}", by)
        await self._gone(person, by)

    async def ban(self, person: Person, *, by: Person | None = None) -> None:
        """Remove a person, who may not join again (XEP-0045 section 9.1).

        Returns once the one who did it has seen them leave; raises as `kick` does.
        """
        await self.affiliation(person, "outcast", by=by)

    async def affiliation(self, person: Person, affiliation: str, *, by: Person | None = None) -> None:
        """Make a person "owner", "admin", "member", "none" or "outcast" (XEP-0045 sections 9 and 10).

        `by` is who does it, the room's owner unless given. Returns once the room has accepted it; where that removes an
        occupant ("outcast", or "none" in a room for members only), once `by` has seen them leave, as with `kick`.
        Raises PeerError if the room refuses, with `condition`, UserError for another word or if `by` is not connected.
        """
        if affiliation not in AFFILIATIONS:
            raise UserError(f"affiliation: one of {', '.join(AFFILIATIONS)}, not {affiliation!r}")
        item = f"<item jid={quoteattr(person.jid)} affiliation='{affiliation}'/>"
        await self._administer(item, f"make {person} {affiliation}", by)
        self._affiliated(person, affiliation)
        if person in self.occupants and (affiliation == "outcast" or (affiliation == "none" and self.members_only)):
            await self._gone(person, by)

    def _affiliated(self, person: Person, affiliation: str) -> None:
        self.affiliations[person] = affiliation
        now = self.context.history.now()
        self.context.history.record(AffiliationSet(at=now, room=self.jid, person=person.jid, affiliation=affiliation))

    async def occupant_lists(self, *, by: Person | None = None) -> dict[str, tuple[str, ...]]:
        """The full room JIDs of who is in the room, as each connected occupant sees it, by the device's full JID.

        The room's own list stands under the room's JID; `by`, a moderator, asks for it (XEP-0045 section 9.7), the
        room's owner unless given. All are recorded, for checks to compare. Raises PeerError if the room refuses,
        UserError if `by` is not connected, TimedOut after 30 seconds.
        """
        found = {one.device.jid: await self._view(one.device) for one in self.occupants if one.device.connected}
        found[self.jid] = await self._own_list(self._by(by))
        lists = {reader: tuple(sorted(occupants)) for reader, occupants in found.items()}
        for reader, occupants in lists.items():
            now = self.context.history.now()
            self.context.history.record(OccupantsRead(at=now, room=self.jid, reader=reader, occupants=occupants))
        return lists

    async def _own_list(self, by: Person) -> set[str]:
        nicks: set[str] = set()
        for role in ROLES:
            query = f"<query xmlns='{ADMIN}'><item role='{role}'/></query>"
            answer = await ask(by.device, "get", query, f"{role}s of {self}", to=self.jid)
            items = answer.element.iterfind(f"{{{ADMIN}}}query/{{{ADMIN}}}item")
            nicks |= {one.get("nick", "") for one in items}
        return {f"{self.jid}/{nick}" for nick in nicks}

    async def _administer(self, item: str, what: str, by: Person | None) -> None:
        query = f"<query xmlns='{ADMIN}'>{item}</query>"
        await ask(self._by(by).device, "set", query, f"{self}: {what}", to=self.jid)

    async def _gone(self, person: Person, by: Person | None) -> None:
        """Return once the one who removed a person has seen them leave, and the person too where that is not late."""
        watcher, nick = self._by(by).device, f"{self.jid}/{self.nick(person)}"
        within = JOIN_DEADLINE + self._allowance(watcher.person)
        try:
            async with asyncio.timeout(within):
                while True:
                    if nick not in await self._view(watcher):
                        break
                    await asyncio.sleep(ROOM_POLL_INTERVAL)
        except TimeoutError:
            raise TimedOut(f"{watcher} has not seen {person} leave room {self.jid} in {within:g} s") from None
        # Somebody who joins again before they were told that they are out would take that for the answer.
        deadline = self.context.history.now() + REMOVED_DEADLINE
        while True:
            if person not in self.occupants or self.context.history.now() > deadline:
                return
            await asyncio.sleep(ROOM_POLL_INTERVAL)

    def _by(self, person: Person | None) -> Person:
        if (by := person or self.owner) is None:
            raise UserError(f"nobody has joined room {self.jid}: let somebody join first")
        return by

    def remove(self, device: Device, codes: Sequence[str] = (), at: float | None = None) -> None:
        """Take a device out that is no occupant any more, and record it: it needs nothing of what is said in the room.

        `at` is in seconds since the epoch, now unless given. Called by the federation.
        """
        if device.person not in self.occupants or device is not device.person.device:
            return
        self.occupants.remove(device.person)
        for message in self.participants.messages.values():
            if message.receiver is self:
                message.excuse(device)
        at = self.context.history.now() if at is None else at
        self.context.history.record(RoomLeft(at=at, device=device.jid, room=self.jid, codes=tuple(codes)))

    def nick(self, person: Person) -> str:
        """The nickname of a person in this room: the name and the server's, since two may share a name."""
        return f"{person.name}.{person.server.name}"

    async def converged(self, within: str | float | None = None) -> None:
        """Wait until each occupant sees exactly the occupants, and each message to the room has reached all of them.

        `within` is in seconds, or a text such as "60s", which it is by default, with an allowance for slow links.
        Raises NotReceived, which fails a run, with what each occupant misses.
        """
        within = CONVERGED_DEADLINE + 2 * self._allowance(*self.occupants) if within is None else within
        want = {f"{self.jid}/{self.nick(person)}" for person in self.occupants}
        views: dict[str, set[str]] = {}
        try:
            async with asyncio.timeout(read_duration(within)):
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
            raise NotReceived(
                f"room {self.jid} did not agree within {describe_duration(within)}", (*evidence, *self._missing())
            ) from None

    def _allowance(self, *people: Person) -> float:
        """Seconds more that the slowest of the links between these people's servers and the room's may need."""
        return max((self.context.allowance(one.server.name, self.server.name) for one in people), default=0.0)

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

    def __repr__(self) -> str:
        return f"<room {self.jid}>"


def _write_values(members_only: bool, non_anonymous: bool) -> dict[str, str]:
    """Values of the form that configures a room (XEP-0045 section 15.5.3)."""
    return {
        "muc#roomconfig_membersonly": "1" if members_only else "0",
        "muc#roomconfig_whois": "anyone" if non_anonymous else "moderators",
    }


def read_self_ping(condition: str | None) -> str:
    """What the answer to a ping to oneself in a room says (XEP-0410 section 3.2), by its error condition if it is one.

    The room lets a ping through to occupants only; what comes back from an occupant's own client, also an error, is
    proof. One condition may come from anybody on the way: a server that cannot be reached has nothing to say.
    """
    if condition in ("remote-server-not-found", "remote-server-timeout"):
        return "unreachable"
    return "joined" if condition in (None, *FROM_OCCUPANT) else "not-joined"
