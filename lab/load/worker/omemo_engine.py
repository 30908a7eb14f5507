"""A load of encrypted messages: the engine's course and counts, carried by real clients with OMEMO 0.3.

A message costs 10 times a plain one at low rates and 100 times at high ones, nearly all of it in the clients, so that
rates are modest: some 200 messages a second for each worker at best. What is dear and happens once is done before the
clock starts: identities, keys, and a session for every pair that the plan will need, whichever workers have the two. A
delay ends where the receiver has decrypted. A message that came and cannot be decrypted is none that was lost: it has
bounced with "not-decrypted", counted by the receiver's worker.

Limits: messages between two people only; open-loop arrivals or turns as with plain loads. Each message asks afresh for
the receiver's devices, as careful clients do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from lab.errors import LabError, UserError
from lab.load.model import message_id
from lab.load.model.spec import Load, Shard
from lab.load.worker.engine import Emit, Engine
from lab.load.worker.omemo_client import Person
from lab.load.worker.omemo_sessions import Acquaintance, pairs
from lab.load.worker.recorder import Recorder
from lab.load.worker.users import LEAVING, Acts
from lab.load.workload.arrivals import parse as parse_arrivals
from lab.load.workload.machine_limits import check_machine
from lab.load.workload.traffic import Kind
from lab.load.workload.traffic_mix import parse

#: Logins and first messages under way at a time: each keeps the processor busy.
AT_ONCE = 8
#: Messages a second that no worker can write and read: one costs it 4 ms.
MOST = 400


class EncryptedActs(Acts):
    """People with real clients in place of the engine's sessions."""

    def __init__(self, load: Load, shard: Shard, recorder: Recorder, on_gone: Callable[[str, str], None]) -> None:
        super().__init__(load, shard, recorder, on_gone)
        self.users = {
            user: Person(session.user, user, session.endpoint, load, self._heard)
            for user, session in self.sessions.items()
        }
        self._running: set[asyncio.Task[None]] = set()
        self.acquaintance = Acquaintance(self.users, self.address, self._spawn)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    # -- doing

    def perform(self, intended: int) -> tuple[int, int] | str:
        """A message that was due at `intended`."""
        _, sender, receiver, _ = self.picker.next()
        identity = self.deliveries.write(sender, receiver, intended).decode()
        self._spawn(self._write(sender, receiver, identity))
        return (sender, intended)

    async def _write(self, sender: int, receiver: int, identity: str) -> None:
        try:
            await self.users[sender].send(self.address(receiver), "x" * self.load.body, identity)
        except LabError:
            self._came_back(sender, identity, "not-encrypted")

    # -- what comes back

    def _heard(self, person: Person, event: dict[str, Any]) -> None:
        match event:
            case {"event": "decrypted", "message": identity}:
                if not self.acquaintance.came(person, identity, encrypted=True):
                    self._over(person, self.deliveries.come(person.number, identity))
            case {"event": "delivered", "message": identity, "encrypted": None}:
                if not self.acquaintance.came(person, identity, encrypted=False):
                    self._answered(person, identity)
            case {"event": "not-decrypted", "message": identity, "reason": why}:
                if not self.acquaintance.failed(identity, why):
                    self._unreadable(person, identity)
            case {"event": "bounced", "message": identity, "condition": condition}:
                if not self.acquaintance.failed(identity, condition):
                    self._came_back(person.number, identity, condition)
            case {"event": "disconnected", "reason": reason} if person.online:
                person.online = False
                self._on_gone(person.jid, reason)

    def _came_back(self, sender: int, identity: str, condition: str) -> None:
        fields = self.deliveries.come_back(sender, identity, condition)
        if fields is not None and self._turns is not None:
            self._turns.ended((fields[1], fields[4]))

    def _unreadable(self, person: Person, identity: str) -> None:
        """A message came that cannot be decrypted; a second copy never can, its key is used up."""
        fields = message_id.decode_message_id(identity)
        if fields is None or fields[2] != person.number:
            return
        flags, sender, target, number, _, _ = fields
        if self.deliveries.ledger.has_come(flags, sender, target, number):
            self.deliveries.come(person.number, identity)
        else:
            self._over(person, self.deliveries.come_back(sender, identity, "not-decrypted"))

    def _over(self, person: Person, fields: message_id.MessageId | None) -> None:
        """A message has arrived at a person; in the closed model its sender waits for that, wherever they are."""
        if fields is None or self._turns is None:
            return
        sender = fields[1]
        if sender in self.users:
            self._turns.ended((sender, fields[4]))
        else:
            self._spawn(self._tell(person, self.address(sender), message_id.encode_delivery_report(fields).decode()))

    async def _tell(self, person: Person, to: str, identity: str) -> None:
        try:
            await person.send(to, "", identity, encryption="plain")
        except LabError as error:
            self._on_gone(person.jid, str(error))

    def _answered(self, person: Person, identity: str) -> None:
        """Closed model: somebody of another worker says that a message has arrived."""
        fields = message_id.decode_message_id(identity)
        if (
            fields is not None
            and fields[0] & message_id.DELIVERY_REPORT
            and fields[1] == person.number
            and self._turns is not None
        ):
            self._turns.ended((fields[1], fields[4]))

    # -- the end

    def totals(self) -> dict[str, int]:
        """As the engine's, with who is online here."""
        return {**super().totals(), "online": sum(person.online for person in self.users.values())}

    async def leave(self) -> None:
        """Everybody logs out."""
        self.stop_turns()
        for task in self._running:
            task.cancel()
        leaving = [asyncio.ensure_future(person.leave()) for person in self.users.values()]
        _, late = await asyncio.wait(leaving, timeout=2 * LEAVING)
        for task in late:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)


class EncryptedEngine(Engine):
    """The engine with such people."""

    def __init__(self, load: Load, shard: Shard, *more: Any) -> None:
        super().__init__(load, shard, *more)
        self._people = EncryptedActs(
            load, shard, self._recorder, lambda who, why: self._emit("gone", user=who, reason=why)
        )
        self._acts = self._people

    async def _come(self) -> None:
        """Everybody logs in with keys, then all who will write to each other get a session."""
        people, online = self._people, 0
        found = pairs(self._load, self._shard.of)

        async def one(person: Person) -> None:
            nonlocal online
            await person.connect()
            online += 1
            self._emit("progress", online=online)

        await _each([one(person) for person in people.users.values()], self._stop)
        await _each(people.acquaintance.begun(found), self._stop)


async def run(
    load: Load,
    shard: Shard,
    emit: Emit,
    *,
    go: Callable[[], Awaitable[int]] | None = None,
    stop: asyncio.Event | None = None,
    drained: asyncio.Event | None = None,
) -> None:
    """As `lab.load.worker.engine.run`. Raises UserError as well for a load that cannot be carried encrypted."""
    if kinds := parse(load.traffic).kinds - {Kind.MESSAGE}:
        raise UserError(
            f"an encrypted load is messages between two people: {load.traffic!r} has {', '.join(sorted(kinds))}"
        )
    if load.security != "starttls":
        raise UserError(f"clients of an encrypted load know STARTTLS only, not {load.security!r}: leave --security out")
    wanted, most = parse_arrivals(load.arrivals).peak(load.seconds), shard.of * MOST
    if wanted > most:
        raise UserError(
            f"{wanted:.0f} encrypted messages per second are more than {shard.of} workers can write ({most}/s): "
            f"take {-(-int(wanted) // MOST)} workers on as many cores, or at most {most}/s"
        )
    check_machine(load, shard)
    await EncryptedEngine(load, shard, emit, stop or asyncio.Event(), drained).run(go)


async def _each(work: Iterable[Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    """Do all, AT_ONCE at a time, until `stop`. Raises the first LabError."""
    free, left = asyncio.Semaphore(AT_ONCE), list(work)

    async def guarded(one: Coroutine[Any, Any, None]) -> None:
        async with free:
            await one

    async def everything() -> None:
        async with asyncio.TaskGroup() as group:
            for one in left:
                group.create_task(guarded(one))

    doing, stopping = asyncio.create_task(everything()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            await doing
    except* LabError as errors:
        raise errors.exceptions[0] from None
    finally:
        doing.cancel()
        stopping.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)
        for one in left:
            one.close()
