"""A worker's users and what they do: acts are drawn, done, and what comes back finds who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lab.load.client import stanzas
from lab.load.client.session import Session, SessionContext
from lab.load.client.xml_stream import Element
from lab.load.model import message_id
from lab.load.model.spec import Load, Shard, seeded_rng
from lab.load.worker.closed_loop import Turns
from lab.load.worker.deliveries import Deliveries
from lab.load.worker.filling import Filling
from lab.load.worker.ramp_up import Entering
from lab.load.worker.recorder import Recorder
from lab.load.worker.requests import Requests, condition
from lab.load.worker.settlement import Settlement, closed
from lab.load.workload.population import People
from lab.load.workload.recipients import Audience
from lab.load.workload.rooms import Room
from lab.load.workload.traffic import Kind
from lab.load.workload.traffic_mix import parse

#: Seconds that logging out may take, all users together.
LEAVING = 5.0
#: Logins at a time of those who look what was kept for them.
COLLECTING = 16
POLL = 0.02  # seconds between two looks


_MESSAGE = Kind.MESSAGE  # looked up once: asking the class for it costs as much as a call


class Acts:
    """Of one worker; `on_gone` gets the address of a user who cannot come back, and why."""

    def __init__(self, load: Load, shard: Shard, recorder: Recorder, on_gone: Callable[[str, str], None]) -> None:
        self.load, self.shard, self.people = load, shard, People(load)
        self.audience = Audience(load)
        traffic = parse(load.traffic)
        self.picker = traffic.picker(load, shard, load.seed)
        self.deliveries = Deliveries(self.audience, recorder)
        self.requests = Requests(recorder, self.deliveries.warms_up, self._contacts)
        self.filling = Filling(Kind.ARCHIVE in traffic.kinds)
        self._room_of = {user: self.room_address(room) for room in self.audience.rooms for user in room.members}
        self.entering = Entering(self._room_of.get)
        self._recorder, self._on_gone = recorder, on_gone
        self._turns: Turns | None = None
        self._away: set[int] = set()
        context = SessionContext(
            load, self._message, self._stanza, self._returned, self._gone, seeded_rng(load.seed, "return", shard.index)
        )
        own = self.people.owned(shard)
        self.sessions = {
            user: Session(context, user, self.people.name(user), load.endpoints[self.people.server_of(user)])
            for user in own
        }
        # Byte templates: what stands before an id, by receiver, and what stands after it.
        self._to = [stanzas.message_head(self.address(user)) for user in range(load.users)]
        self._to_room = [stanzas.message_head(self.room_address(room), "groupchat") for room in self.audience.rooms]
        self._rest = stanzas.message_tail(load.body)

    def address(self, user: int) -> str:
        """A user's bare address."""
        return f"{self.people.name(user)}@{self.load.endpoints[self.people.server_of(user)].domain}"

    def room_address(self, room: Room) -> str:
        """A room's address."""
        return f"{room.name}@conference.{self.load.endpoints[room.server].domain}"

    def _contacts(self, user: int) -> list[str]:
        """The addresses in a user's roster."""
        return [self.address(other) for other in self.audience.contacts[user]]

    async def enter(self) -> None:
        """Everybody who is online gets ready: in their room, and with something in their archive. Raises TimedOut."""
        for session in self.sessions.values():
            self.entering.enter(session)
        await self.entering.all_in()
        await self.filling.fill({self.address(user): session for user, session in self.sessions.items()})

    def start(self, at: int, steady: int) -> None:
        """The clock starts: `at` and `steady` in ns of `perf_counter_ns`."""
        self.deliveries.start(at, steady)

    # -- doing

    def perform(self, intended: int) -> tuple[int, int] | str:
        """Do one act that was due at `intended`; what its end will be known by, see lab.load.worker.closed_loop."""
        kind, sender, receiver, size = self.picker.next()
        session = self.sessions[sender]
        if kind is _MESSAGE:
            identity = self.deliveries.write(sender, receiver, intended)
            session.send(self._to[receiver] + identity + self._rest)
            return (sender, intended)
        if kind is Kind.ROOM:
            identity = self.deliveries.write(sender, receiver, intended, room=True)
            session.send(self._to_room[receiver] + identity + self._rest)
            return (sender, intended)
        if kind is Kind.PRESENCE:
            return self._change(session, intended)
        return self.requests.ask(kind, session, intended, size)

    def _change(self, session: Session, intended: int) -> str:
        """Away, or back: told to all contacts, and by the own server to the user too, which ends the act."""
        identity = self.deliveries.write_presence(session.number, intended)
        self._away ^= {session.number}
        session.send(stanzas.presence(identity, away=session.number in self._away))
        return self.requests.begun("presence", session.number, intended, identity.decode())

    def begin_turns(self, think: float) -> None:
        """The closed model: as many turns as users begin now."""
        turns = self._turns = Turns(think, self.perform)
        self.requests.on_done = turns.ended
        turns.begin(len(self.sessions))

    def stop_turns(self) -> None:
        """The closed model begins no turn any more."""
        if self._turns is not None:
            self._turns.stop()

    # -- what comes back

    def _message(self, session: Session, identity: str) -> None:
        fields = self.deliveries.come(session.number, identity)
        if fields is None:
            self.filling.came(session, identity)
        elif self._turns is not None:
            self._turn_ended(self._turns, session, fields)

    def _turn_ended(self, turns: Turns, session: Session, fields: message_id.MessageId) -> None:
        """Closed model: the sender is told; one of another worker by a message, one to a room by its own reflection."""
        flags, sender, _, _, intended, _ = fields
        if flags & message_id.ROOM and sender != session.number:
            return
        if sender in self.sessions:
            turns.ended((sender, intended))
        else:
            session.send(self._to[sender] + message_id.encode_delivery_report(fields) + stanzas.message_tail(0))

    def _stanza(self, session: Session, element: Element) -> None:
        if element.name == "message":
            fields = self.deliveries.come_back(session.number, element.attributes.get("id", ""), condition(element))
            if fields is not None and self._turns is not None:
                self._turns.ended((fields[1], fields[4]))
        elif element.name == "iq":
            self.requests.answered(session, element)
        elif not self.entering.presence(session, element):
            self._presence(session, element)

    def _presence(self, session: Session, element: Element) -> None:
        """Of a contact, or the own one's way back from the server."""
        kind, identity = element.attributes.get("type"), element.attributes.get("id", "")
        if kind == "error":
            by = self.people.number(element.attributes.get("from", ""))
            self.deliveries.come_back(session.number, identity, condition(element), by)
        elif kind is None and not self.requests.ended(session.number, identity):
            self.deliveries.come(session.number, identity)

    def _returned(self, session: Session, resumed: bool) -> None:
        self._recorder.reconnect()
        if not resumed:
            self.requests.forget(session.number)
            self.entering.enter(session)

    def _gone(self, session: Session, reason: str) -> None:
        self._on_gone(self.address(session.number), reason)

    # -- the end

    @property
    def outstanding(self) -> int:
        """Receipts and answers that are still to come, if all receivers are this worker's."""
        return self.deliveries.outstanding + self.requests.outstanding

    def totals(self) -> dict[str, int]:
        """Since the start: receipts expected, come, bounced; the drain ends by the totals of all workers."""
        mine = self.deliveries
        return {
            "expected": mine.expected,
            "delivered": mine.delivered,
            "bounced": mine.bounced,
            "requests": self.requests.outstanding,
            "online": sum(session.online for session in self.sessions.values()),
        }

    async def collect(self) -> None:
        """Who logged out and in during the load does so once more, for what a server may still keep for them."""
        free = asyncio.Semaphore(COLLECTING)

        async def one(session: Session) -> None:
            async with free:
                await self.requests.anew(session)

        await asyncio.gather(*(one(self.sessions[user]) for user in self.requests.went), return_exceptions=True)

    def settlement(self) -> Settlement:
        """What never came; for a worker that is alone."""
        return closed(self.deliveries.ledger, self.audience)

    async def leave(self) -> None:
        """Everybody logs out; returns once the connections are closed, or after LEAVING seconds."""
        self.requests.close()
        self.stop_turns()
        connections = [one for session in self.sessions.values() if (one := session.disconnect()) is not None]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LEAVING
        while loop.time() < deadline and not all(one.closed for one in connections):  # noqa: ASYNC110 - thousands of them
            await asyncio.sleep(POLL)
        for connection in connections:
            connection.abort("the load is over")
