"""Carries a load of encrypted messages: the load engine, with real clients that use OMEMO 0.3, OMEMO 2 or OTR.

With OMEMO a message costs 10 times as much as a plain one at low rates and 100 times at high ones, nearly all of it in
the clients, so that rates are modest: at best some 200 messages per second for each worker. Work that is expensive and
needed only once is done before the clock starts: identities, keys, and a session for every pair of users that the plan
needs, whichever workers have the two. A delay ends when the receiver has decrypted the message. A message that was
received and cannot be decrypted is not lost: it counts as bounced with "not-decrypted", by the receiver's worker.

Limits: messages between two users only; open-loop arrivals or the closed model, as with plain loads. With OMEMO each
message queries the receiver's devices again, as careful clients do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from lab.errors import LabError
from lab.load.metrics.sample_recorder import SampleRecorder
from lab.load.model import message_id
from lab.load.model.spec import Load, Shard
from lab.load.worker.encrypted_client import EncryptedClient
from lab.load.worker.engine import Emit, LoadEngine
from lab.load.worker.session_setup import SessionSetup, find_pairs
from lab.load.worker.users import DISCONNECT_TIMEOUT, VirtualUsers
from lab.load.workload.encrypted import check_encryption
from lab.load.workload.machine_limits import check_machine

#: Logins and session setups at the same time: each keeps the processor busy.
MAX_CONCURRENT = 8


class EncryptedUsers(VirtualUsers):
    """Virtual users with real clients instead of the engine's sessions."""

    def __init__(
        self, load: Load, shard: Shard, recorder: SampleRecorder, on_given_up: Callable[[str, str], None]
    ) -> None:
        super().__init__(load, shard, recorder, on_given_up)
        self.clients = {
            user: EncryptedClient(session.user, user, session.endpoint, load, self._on_event)
            for user, session in self.sessions.items()
        }
        self._tasks: set[asyncio.Task[None]] = set()
        self.session_setup = SessionSetup(self.clients, self.address, self._spawn)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- actions

    def perform(self, intended: int) -> tuple[int, int] | str:
        """Send a message that was due at `intended`."""
        _, sender, receiver, _ = self.draw()
        identity = self.deliveries.register_message(sender, receiver, intended).decode()
        self._spawn(self._send(sender, receiver, identity))
        return (sender, intended)

    async def _send(self, sender: int, receiver: int, identity: str) -> None:
        try:
            await self.clients[sender].send(self.address(receiver), "x" * self.load.body, identity)
        except LabError:
            self._on_bounce(sender, identity, "not-encrypted")

    # -- what clients receive

    def _on_event(self, client: EncryptedClient, event: dict[str, Any]) -> None:
        match event:
            case {"event": "decrypted", "message": identity}:
                if not self.session_setup.on_message(client, identity, encrypted=True):
                    self._end_of(client, self.deliveries.on_delivery(client.number, identity))
            case {"event": "delivered", "message": identity, "encrypted": None}:
                if not self.session_setup.on_message(client, identity, encrypted=False):
                    self._on_delivery_report(client, identity)
            case {"event": "not-decrypted", "message": identity, "reason": why}:
                if not self.session_setup.on_failure(identity, why):
                    self._on_not_decrypted(client, identity)
            case {"event": "bounced", "message": identity, "condition": condition}:
                if not self.session_setup.on_failure(identity, condition):
                    self._on_bounce(client.number, identity, condition)
            case {"event": "disconnected", "reason": reason} if client.online:
                client.online = False
                self._on_given_up(client.jid, reason)

    def _on_bounce(self, sender: int, identity: str, condition: str) -> None:
        fields = self.deliveries.on_bounce(sender, identity, condition)
        if fields is not None and self._closed_loop is not None:
            self._closed_loop.on_ended((fields[1], fields[4]))

    def _on_not_decrypted(self, client: EncryptedClient, identity: str) -> None:
        """A message cannot be decrypted. A second copy of one never can, since its key was used."""
        fields = message_id.decode_message_id(identity)
        if fields is None or fields[2] != client.number:
            return
        flags, sender, target, number, _, _ = fields
        if self.deliveries.ledger.has_received(flags, sender, target, number):
            self.deliveries.on_delivery(client.number, identity)
        else:
            self._end_of(client, self.deliveries.on_bounce(sender, identity, "not-decrypted"))

    def _end_of(self, client: EncryptedClient, fields: message_id.MessageId | None) -> None:
        """A client has received a message; in the closed model its sender waits for that, in whichever worker."""
        if fields is None or self._closed_loop is None:
            return
        sender = fields[1]
        if sender in self.clients:
            self._closed_loop.on_ended((sender, fields[4]))
        else:
            report = message_id.encode_delivery_report(fields).decode()
            self._spawn(self._send_delivery_report(client, self.address(sender), report))

    async def _send_delivery_report(self, client: EncryptedClient, to: str, identity: str) -> None:
        try:
            await client.send(to, "", identity, encryption="plain")
        except LabError as error:
            self._on_given_up(client.jid, str(error))

    def _on_delivery_report(self, client: EncryptedClient, identity: str) -> None:
        """Closed model: a user of another worker reports that it has received a message."""
        fields = message_id.decode_message_id(identity)
        if (
            fields is not None
            and fields[0] & message_id.DELIVERY_REPORT
            and fields[1] == client.number
            and self._closed_loop is not None
        ):
            self._closed_loop.on_ended((fields[1], fields[4]))

    # -- the end

    def build_totals(self) -> dict[str, int]:
        """The engine's totals, with the number of clients that are online."""
        return {**super().build_totals(), "online": sum(client.online for client in self.clients.values())}

    async def disconnect(self) -> None:
        """Log all users out."""
        self.stop_closed_loop()
        for task in self._tasks:
            task.cancel()
        leaving = [asyncio.ensure_future(client.disconnect()) for client in self.clients.values()]
        _, late = await asyncio.wait(leaving, timeout=2 * DISCONNECT_TIMEOUT)
        for task in late:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)


class EncryptedEngine(LoadEngine):
    """The load engine with such users."""

    def __init__(self, load: Load, shard: Shard, *more: Any) -> None:
        super().__init__(load, shard, *more)
        self._encrypted_users = EncryptedUsers(load, shard, self._recorder, self._on_given_up)
        self._users = self._encrypted_users

    async def _ramp_up(self) -> None:
        """All users log in with keys; then a session is set up for every pair that will write to each other."""
        users, online = self._encrypted_users, 0
        found = find_pairs(self._load, self._shard.of)

        async def one(client: EncryptedClient) -> None:
            nonlocal online
            await client.connect()
            online += 1
            self._emit("progress", online=online)

        await _run_all([one(client) for client in users.clients.values()], self._stop)
        await _run_all(users.session_setup.setups(found), self._stop)


async def run(
    load: Load,
    shard: Shard,
    emit: Emit,
    *,
    go: Callable[[], Awaitable[int]] | None = None,
    stop: asyncio.Event | None = None,
    drained: asyncio.Event | None = None,
) -> None:
    """As `lab.load.worker.engine.run`. Also raises UserError for a load that cannot be encrypted."""
    check_encryption(load, shard.of)
    check_machine(load, shard)
    await EncryptedEngine(load, shard, emit, stop or asyncio.Event(), drained).run(go)


async def _run_all(work: Iterable[Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    """Run all, MAX_CONCURRENT at a time, until `stop`. Raises the first LabError."""
    free, left = asyncio.Semaphore(MAX_CONCURRENT), list(work)

    async def guarded(one: Coroutine[Any, Any, None]) -> None:
        async with free:
            await one

    async def everything() -> None:
        async with asyncio.TaskGroup() as group:
            for one in left:
                group.create_task(guarded(one))

    running, stopping = asyncio.create_task(everything()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
    except* LabError as errors:
        raise errors.exceptions[0] from None
    finally:
        running.cancel()
        stopping.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)
        for one in left:
            one.close()
