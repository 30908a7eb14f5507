"""A worker's users: their actions are drawn and performed, and each answer is given to what waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lab.declarations.load_kind import MESSAGE, PRESENCE, ROOM
from lab.load.client import stanzas
from lab.load.client.session import Session, SessionContext
from lab.load.client.xml_stream import Element
from lab.load.kinds import build_draw, build_request_kinds
from lab.load.metrics.sample_recorder import SampleRecorder
from lab.load.model import message_id
from lab.load.model.spec import Load, Shard, seeded_rng
from lab.load.worker.closed_loop import ClosedLoop
from lab.load.worker.deliveries import Deliveries
from lab.load.worker.ramp_up import ArchiveFiller, RoomJoins
from lab.load.worker.settlement import Settlement, settle_ledger
from lab.load.workload.population import Population, RoomPlan
from lab.load.workload.recipients import Recipients
from lab.load.workload.requests import PendingRequests, read_error_condition
from lab.load.workload.traffic import parse_traffic

#: Seconds until connections that did not close are aborted, all users together.
DISCONNECT_TIMEOUT = 5.0
POLL = 0.02  # seconds between two looks


class VirtualUsers:
    """The users of one worker. `on_given_up` gets the address of a user who cannot reconnect, and why."""

    def __init__(
        self, load: Load, shard: Shard, recorder: SampleRecorder, on_given_up: Callable[[str, str], None]
    ) -> None:
        self.load, self.shard, self.population = load, shard, Population(load)
        self.recipients = Recipients(load)
        traffic = parse_traffic(load.traffic)
        self.draw = build_draw(traffic, load, shard, load.seed)
        self.deliveries = Deliveries(self.recipients, recorder, due_times=load.due_times)
        self.requests = PendingRequests(recorder, self.deliveries.in_warmup)
        self.requests.kinds = self._kinds = build_request_kinds(traffic, self.requests, self._contacts)
        self.archives = ArchiveFiller(traffic.needs_archive)
        self._room_of = {user: self.room_address(room) for room in self.recipients.rooms for user in room.members}
        self.joins = RoomJoins(self._room_of.get)
        self._recorder, self._on_given_up = recorder, on_given_up
        self._closed_loop: ClosedLoop | None = None
        self._away: set[int] = set()
        context = SessionContext(
            load,
            self._on_message,
            self._on_stanza,
            self._on_reconnected,
            self._on_session_given_up,
            seeded_rng(load.seed, "return", shard.index),
        )
        own = self.population.list_owned(shard)
        self.sessions = {
            user: Session(
                context, user, self.population.get_name(user), load.endpoints[self.population.get_server(user)]
            )
            for user in own
        }
        # Byte templates: the part of a message before its id, by receiver, and the part after it.
        self._to = [stanzas.build_message_head(self.address(user)) for user in range(load.users)]
        self._to_room = [
            stanzas.build_message_head(self.room_address(room), "groupchat") for room in self.recipients.rooms
        ]
        self._tail = stanzas.build_message_tail(load.body)

    def address(self, user: int) -> str:
        """A user's bare address."""
        return f"{self.population.get_name(user)}@{self.load.endpoints[self.population.get_server(user)].domain}"

    def room_address(self, room: RoomPlan) -> str:
        """A room's address."""
        return f"{room.name}@conference.{self.load.endpoints[room.server].domain}"

    def _contacts(self, user: int) -> list[str]:
        """The addresses in a user's roster."""
        return [self.address(other) for other in self.recipients.contacts[user]]

    async def prepare(self) -> None:
        """Once all users are online: join rooms and fill archives. Raises TimedOut."""
        for session in self.sessions.values():
            self.joins.join(session)
        await self.joins.wait_until_joined()
        await self.archives.fill({self.address(user): session for user, session in self.sessions.items()})

    def start(self, at: int, steady: int) -> None:
        """The warm-up starts at `at`, the steady state at `steady`, both in ns of `perf_counter_ns`."""
        self.deliveries.start(at, steady)

    # -- actions

    def perform(self, intended: int) -> tuple[int, int] | str:
        """Perform the next action, which was due at `intended`; the key of its end, see lab.load.worker.closed_loop."""
        action, sender, receiver, size = self.draw()
        session = self.sessions[sender]
        if action == MESSAGE:
            identity = self.deliveries.register_message(sender, receiver, intended)
            session.send(self._to[receiver] + identity + self._tail)
            return (sender, intended)
        if action == ROOM:
            identity = self.deliveries.register_message(sender, receiver, intended, room=True)
            session.send(self._to_room[receiver] + identity + self._tail)
            return (sender, intended)
        if action == PRESENCE:
            return self._change_presence(session, intended)
        return self._kinds[action].send(session, intended, size)

    def _change_presence(self, session: Session, intended: int) -> str:
        """Away, or available again. All contacts get the presence; the action ends when the user gets its own back."""
        identity = self.deliveries.register_presence(session.number, intended)
        self._away ^= {session.number}
        session.send(stanzas.build_presence(identity, away=session.number in self._away))
        return self.requests.register("presence", session.number, intended, identity=identity.decode())

    def start_closed_loop(self, think: float) -> None:
        """Closed model: start an action for each user now."""
        closed_loop = self._closed_loop = ClosedLoop(think, self.perform)
        self.requests.on_ended = closed_loop.on_ended
        closed_loop.start(len(self.sessions))

    def stop_closed_loop(self) -> None:
        """Closed model: start no action any more."""
        if self._closed_loop is not None:
            self._closed_loop.stop()

    # -- what sessions receive

    def _on_message(self, session: Session, identity: str) -> None:
        fields = self.deliveries.on_delivery(session.number, identity)
        if fields is None:
            self.archives.on_message(session, identity)
        elif self._closed_loop is not None:
            self._end_action(self._closed_loop, session, fields)

    def _end_action(self, closed_loop: ClosedLoop, session: Session, fields: message_id.MessageId) -> None:
        """Closed model: the sender's action ends. A sender of another worker gets a message that says so; a message to
        a room ends when its sender receives it.
        """
        flags, sender, _, _, intended, _ = fields
        if flags & message_id.ROOM and sender != session.number:
            return
        if sender in self.sessions:
            closed_loop.on_ended((sender, intended))
        else:
            session.send(self._to[sender] + message_id.encode_delivery_report(fields) + stanzas.build_message_tail(0))

    def _on_stanza(self, session: Session, element: Element) -> None:
        if element.name == "message":
            fields = self.deliveries.on_bounce(
                session.number, element.attributes.get("id", ""), read_error_condition(element)
            )
            if fields is not None and self._closed_loop is not None:
                self._closed_loop.on_ended((fields[1], fields[4]))
        elif element.name == "iq":
            self.requests.on_iq(session, element)
        elif not self.joins.on_presence(session, element):
            self._on_presence(session, element)

    def _on_presence(self, session: Session, element: Element) -> None:
        """A presence of a contact, or the user's own, which the server sends back."""
        kind, identity = element.attributes.get("type"), element.attributes.get("id", "")
        if kind == "error":
            by = self.population.find_user(element.attributes.get("from", ""))
            self.deliveries.on_bounce(session.number, identity, read_error_condition(element), by)
        elif kind is None and not self.requests.end(session.number, identity):
            self.deliveries.on_delivery(session.number, identity)

    def _on_reconnected(self, session: Session, resumed: bool) -> None:
        self._recorder.reconnect()
        if not resumed:
            self.requests.on_new_session(session.number)
            self.joins.join(session)

    def _on_session_given_up(self, session: Session, reason: str) -> None:
        self._on_given_up(self.address(session.number), reason)

    # -- the end

    @property
    def outstanding(self) -> int:
        """Receipts and answers that are still expected, if all receivers are users of this worker."""
        return self.deliveries.outstanding + self.requests.outstanding

    def build_totals(self) -> dict[str, int]:
        """Receipts since the start: expected, delivered, bounced. The drain ends by the totals of all workers."""
        mine = self.deliveries
        return {
            "expected": mine.expected,
            "delivered": mine.delivered,
            "bounced": mine.bounced,
            "requests": self.requests.outstanding,
            "online": sum(session.online for session in self.sessions.values()),
        }

    async def on_drain(self) -> None:
        """Some receipts are still missing a while after the end: do what load kinds do then."""
        await self.requests.on_drain(self.sessions)

    def settle(self) -> Settlement:
        """The messages that were never received; for a load with one worker."""
        return settle_ledger(self.deliveries.ledger, self.recipients)

    async def disconnect(self) -> None:
        """Log all users out; returns once the connections are closed, or after DISCONNECT_TIMEOUT."""
        self.requests.close()
        self.stop_closed_loop()
        connections = [one for session in self.sessions.values() if (one := session.disconnect()) is not None]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DISCONNECT_TIMEOUT
        while loop.time() < deadline and not all(one.closed for one in connections):  # noqa: ASYNC110 - thousands
            await asyncio.sleep(POLL)
        for connection in connections:
            connection.abort("the load is over")
