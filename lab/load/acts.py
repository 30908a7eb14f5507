"""A worker's users and what they do: acts are drawn, done, and what comes back finds who waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lab.load import stanzas
from lab.load.deliveries import Deliveries
from lab.load.drawing import Kind
from lab.load.entering import Entering
from lab.load.ledger import Missing
from lab.load.parser import Element
from lab.load.people import People
from lab.load.recorder import Recorder
from lab.load.requests import Requests, condition
from lab.load.rooms import Room
from lab.load.seeds import chance
from lab.load.session import Common, Session
from lab.load.spec import Load, Share
from lab.load.traffic import parse
from lab.load.turns import Turns

#: Seconds that logging out may take, all users together.
LEAVING = 5.0
POLL = 0.02  # seconds between two looks


class Acts:
    """Of one worker; `on_gone` gets the address of a user who cannot come back, and why."""

    def __init__(self, load: Load, share: Share, recorder: Recorder, on_gone: Callable[[str, str], None]) -> None:
        self.load, self.share, self.people = load, share, People(load)
        traffic = parse(load.traffic)
        self.rooms: tuple[Room, ...] = traffic.rooms(load, load.seed)
        self.picker = traffic.picker(load, share, load.seed)
        self.deliveries = Deliveries(load, recorder, lambda room: len(self.rooms[room].members))
        self.requests = Requests(recorder)
        self._room_of = {user: self.room_address(room) for room in self.rooms for user in room.members}
        self.entering = Entering(self._room_of.get)
        self._recorder, self._on_gone = recorder, on_gone
        self._turns: Turns | None = None
        common = Common(
            load, self._message, self._stanza, self._returned, self._gone, chance(load.seed, "return", share.index)
        )
        own = self.people.owned(share)
        self.sessions = {
            user: Session(common, user, self.people.name(user), load.endpoints[self.people.server_of(user)])
            for user in own
        }
        # Byte templates: what stands before an id, by receiver, and what stands after it.
        self._to = [stanzas.message_to(self.address(user)) for user in range(load.users)]
        self._to_room = [stanzas.message_to(self.room_address(room), "groupchat") for room in self.rooms]
        self._rest = stanzas.message_rest(load.body)

    def address(self, user: int) -> str:
        """A user's bare address."""
        return f"{self.people.name(user)}@{self.load.endpoints[self.people.server_of(user)].domain}"

    def room_address(self, room: Room) -> str:
        """A room's address."""
        return f"{room.name}@conference.{self.load.endpoints[room.server].domain}"

    def start(self, at: int, steady: int) -> None:
        """The clock starts: `at` and `steady` in ns of `perf_counter_ns`."""
        self.deliveries.start(at, steady)

    # -- doing

    def perform(self, intended: int) -> tuple[int, int] | str:
        """Do one act that was due at `intended`; what its end will be known by, see lab.load.turns."""
        kind, sender, receiver, size = self.picker.next()
        session = self.sessions[sender]
        if kind is Kind.MESSAGE:
            identity = self.deliveries.write(sender, receiver, intended)
            session.send(self._to[receiver] + identity + self._rest)
            return (sender, intended)
        if kind is Kind.ROOM:
            identity = self.deliveries.write(sender, receiver, intended, room=True)
            session.send(self._to_room[receiver] + identity + self._rest)
            return (sender, intended)
        return self.requests.ask(kind, session, intended, size)

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

    def _message(self, session: Session, attributes: dict[str, str]) -> None:
        identity = attributes.get("id")
        if identity is not None:
            fields = self.deliveries.come(session.number, identity)
            if fields is not None and self._turns is not None:
                self._turn_ended(self._turns, session, fields)

    def _turn_ended(self, turns: Turns, session: Session, fields: stanzas.Fields) -> None:
        """Closed model: the sender is told; one of another worker by a message, one to a room by its own reflection."""
        flags, sender, _, _, intended, _ = fields
        if flags & stanzas.ROOM and sender != session.number:
            return
        if sender in self.sessions:
            turns.ended((sender, intended))
        else:
            session.send(self._to[sender] + stanzas.as_answer(fields) + stanzas.message_rest(0))

    def _stanza(self, session: Session, element: Element) -> None:
        if element.name == "message":
            fields = self.deliveries.come_back(session.number, element.attributes.get("id", ""), condition(element))
            if fields is not None and self._turns is not None:
                self._turns.ended((fields[1], fields[4]))
        elif element.name != "presence" or not self.entering.presence(session, element):
            self.requests.answered(element)

    def _returned(self, session: Session, resumed: bool) -> None:
        self._recorder.reconnect()
        if not resumed:
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

    def lost(self) -> list[Missing]:
        """What never came, counted as lost; for a worker that is alone."""
        missing = list(self.deliveries.books[0].missing(lambda room: self.rooms[room].members))
        for one in missing:
            self._recorder.lost(self.deliveries.route(one.sender, None if one.room is not None else one.receiver))
        return missing

    async def leave(self) -> None:
        """Everybody logs out; returns once the connections are closed, or after LEAVING seconds."""
        self.requests.close()
        self.stop_turns()
        wires = [wire for session in self.sessions.values() if (wire := session.leave()) is not None]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LEAVING
        while loop.time() < deadline and not all(wire.closed for wire in wires):  # noqa: ASYNC110 - thousands of them
            await asyncio.sleep(POLL)
        for wire in wires:
            wire.abort("the load is over")
