"""A load of encrypted messages: the engine's course and counts, carried by real clients with OMEMO 0.3.

A message costs 30 to 100 times a plain one, most of it in the clients, so that rates are modest: some hundred messages
a second at best, fewer people. What is dear and happens once is done before the clock starts: identities, keys, and a
session for every pair that the plan will need. A delay ends where the receiver has decrypted, and a message that cannot
be decrypted has bounced with "not-decrypted".

Limits: one worker (a session needs both its people); messages between two people only; open-loop arrivals or turns as
with plain loads. Each message asks afresh for the receiver's devices, as careful clients do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

from lab.clients.device import Device
from lab.errors import LabError, PeerError, UserError
from lab.load import capacity
from lab.load.acts import LEAVING, Acts
from lab.load.arrivals import parse as parse_arrivals
from lab.load.coming import ATTEMPTS, PAUSE
from lab.load.drawing import Act, Kind
from lab.load.engine import Emit, Engine
from lab.load.recorder import Recorder
from lab.load.spec import Endpoint, Load, Share
from lab.load.traffic import Picker, parse

#: Pairs that get a session before the start: 60 ms of processor time each, a minute in all.
PAIRS = 1000
#: Logins and first messages under way at a time: each keeps the processor busy.
AT_ONCE = 8
#: Seconds for a login with its keys, and for a first message until it is decrypted.
PATIENCE = 60.0

_HELLO = "hello-"  # ids of first messages
_OMEMO = "eu.siacs.conversations.axolotl"  # XEP-0384 version 0.3


class Person:
    """One user with one device."""

    def __init__(self, user: str, number: int, endpoint: Endpoint, load: Load, hear: Callable[..., None]) -> None:
        self.number, self.endpoint, self.jid = number, endpoint, f"{user}@{endpoint.domain}"
        self.online = False
        self._load = load
        self.device = Device(self.jid, lambda event: hear(self, event))

    async def connect(self) -> None:
        """Log in; returns once others can encrypt to it. Raises PeerError.

        ejabberd refuses a first bundle (item-not-found) now and then while others publish theirs; it takes the next.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._login()
            except PeerError:
                if attempt == ATTEMPTS:
                    raise
                await asyncio.sleep(PAUSE)
            else:
                self.online = True
                return

    async def _login(self) -> None:
        login = self.device.connect(
            jid=self.jid,
            password=self._load.password,
            resource="omemo",
            host=self.endpoint.host,
            port=self.endpoint.port,
            authority=self._load.authority,
            encryption="omemo",
        )
        try:
            await asyncio.wait_for(login, PATIENCE)
        except TimeoutError as error:
            raise PeerError(f"{self.jid} was not online after {PATIENCE:g} s: {self.device.step}") from error

    async def leave(self) -> None:
        """Log out, the device taken back: nobody must encrypt to it any more."""
        if self.online:
            self.online = False
            forget = (
                f"<iq type='set'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{_OMEMO}.devicelist'>"
                f"<item id='current'><list xmlns='{_OMEMO}'/></item></publish></pubsub></iq>"
            )
            with suppress(LabError):  # the stream may be gone already
                await self.device.iq(xml=forget)
        await self.device.disconnect()

    def ask(self) -> None:
        """Nothing: these clients ask by themselves what the server has."""


class EncryptedActs(Acts):
    """People with real clients in place of the engine's sessions."""

    def __init__(self, load: Load, share: Share, recorder: Recorder, on_gone: Callable[[str, str], None]) -> None:
        super().__init__(load, share, recorder, on_gone)
        self.users = {
            user: Person(session.user, user, session.endpoint, load, self._heard)
            for user, session in self.sessions.items()
        }
        self._writing: set[asyncio.Task[None]] = set()
        self._hello: dict[str, asyncio.Event] = {}

    # -- before the start

    def pairs(self) -> list[tuple[int, int]]:
        """Who will write to each other, as far as it can be known, each once; the same draw as the load's."""
        drawn = self._upcoming(parse(self.load.traffic).picker(self.load, self.share, self.load.seed))
        found = dict.fromkeys((min(act.sender, act.receiver), max(act.sender, act.receiver)) for act in drawn)
        if len(found) > PAIRS:
            raise UserError(
                f"{len(found)} pairs of people would write to each other, and at most {PAIRS} sessions are made before "
                "the start: take fewer users, a shorter load or a lower rate"
            )
        return list(found)

    def _upcoming(self, picker: Picker) -> Iterable[Act]:
        arrivals, load = parse_arrivals(self.load.arrivals), self.load
        if arrivals.open:
            times = arrivals.schedule(load.seed, self.share, load.warmup).due(load.warmup + load.seconds)
            return (picker.next() for _ in islice(times, 100 * PAIRS))
        return (picker.next() for _ in range(PAIRS // 2))

    async def acquaint(self, one: int, other: int) -> None:
        """First messages between two, which make their session; returns once both are decrypted.

        One after the other: first messages that cross each other make two sessions, and one of them is thrown away.
        """
        await self._greet(one, other)
        await self._greet(other, one)

    async def _greet(self, sender: int, receiver: int) -> None:
        identity = f"{_HELLO}{sender}-{receiver}"
        came = self._hello[identity] = asyncio.Event()
        from_, to = self.users[sender], self.users[receiver]
        try:
            async with asyncio.timeout(PATIENCE):
                await from_.device.send(to=to.jid, body="hello", message=identity)
                await came.wait()
        except TimeoutError as error:
            raise PeerError(f"{to.jid} cannot read what {from_.jid} encrypts, after {PATIENCE:g} s") from error

    # -- doing, and what comes back

    def perform(self, intended: int) -> tuple[int, int] | str:
        """A message that was due at `intended`."""
        _, sender, receiver, _ = self.picker.next()
        identity = self.deliveries.write(sender, receiver, intended).decode()
        task = asyncio.create_task(self._write(sender, receiver, identity))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return (sender, intended)

    async def _write(self, sender: int, receiver: int, identity: str) -> None:
        try:
            await self.users[sender].device.send(
                to=self.users[receiver].jid, body="x" * self.load.body, message=identity
            )
        except LabError:
            self._came_back(sender, identity, "not-encrypted")

    def _came_back(self, sender: int, identity: str, condition: str) -> None:
        fields = self.deliveries.come_back(sender, identity, condition)
        if fields is not None and self._turns is not None:
            self._turns.ended((fields[1], fields[4]))

    def _heard(self, person: Person, event: dict[str, Any]) -> None:
        match event:
            case {"event": "decrypted", "message": identity} if identity in self._hello:
                self._hello[identity].set()
            case {"event": "decrypted", "message": identity}:
                fields = self.deliveries.come(person.number, identity)
                if fields is not None and self._turns is not None:
                    self._turns.ended((fields[1], fields[4]))
            case {"event": "not-decrypted", "message": identity, "from": sender}:
                by = next((one for one in self.users.values() if one.jid == sender.partition("/")[0]), None)
                if by is not None:
                    self._came_back(by.number, identity, "not-decrypted")
            case {"event": "bounced", "message": identity, "condition": condition}:
                self._came_back(person.number, identity, condition)
            case {"event": "disconnected", "reason": reason} if person.online:
                person.online = False
                self._on_gone(person.jid, reason)

    # -- the end

    def totals(self) -> dict[str, int]:
        """As the engine's, with who is online here."""
        return {**super().totals(), "online": sum(person.online for person in self.users.values())}

    async def leave(self) -> None:
        """Everybody logs out."""
        self.stop_turns()
        for task in self._writing:
            task.cancel()
        leaving = [asyncio.ensure_future(person.leave()) for person in self.users.values()]
        if leaving:
            _, late = await asyncio.wait(leaving, timeout=2 * LEAVING)
            for task in late:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)


async def run(
    load: Load,
    share: Share,
    emit: Emit,
    *,
    go: Callable[[], Awaitable[int]] | None = None,
    stop: asyncio.Event | None = None,
    drained: asyncio.Event | None = None,
) -> None:
    """As `lab.load.engine.run`. Raises UserError as well for a load that cannot be carried encrypted."""
    _check(load, share)
    capacity.check(load, share)
    await EncryptedEngine(load, share, emit, stop or asyncio.Event(), drained).run(go)


class EncryptedEngine(Engine):
    """The engine with such people."""

    def __init__(self, load: Load, share: Share, *more: Any) -> None:
        super().__init__(load, share, *more)
        self._people = EncryptedActs(
            load, share, self._recorder, lambda who, why: self._emit("gone", user=who, reason=why)
        )
        self._acts = self._people

    async def _come(self) -> None:
        """Everybody logs in with keys, then all who will write to each other get a session."""
        people, pairs = self._people, self._people.pairs()
        online = 0

        async def one(person: Person) -> None:
            nonlocal online
            await person.connect()
            online += 1
            self._emit("progress", online=online)

        await _each((one(person) for person in people.users.values()), self._stop)
        await _each((people.acquaint(*pair) for pair in pairs), self._stop)


def _check(load: Load, share: Share) -> None:
    kinds = parse(load.traffic).kinds - {Kind.MESSAGE}
    if kinds or share.of > 1:
        wrong = f"{load.traffic!r} has {', '.join(sorted(kinds))}" if kinds else f"there are {share.of} workers"
        raise UserError(f"an encrypted load is messages between two people, by one worker: {wrong}")


async def _each(work: Iterable[Awaitable[None]], stop: asyncio.Event) -> None:
    """Do all, AT_ONCE at a time, until `stop`. Raises the first LabError."""
    free = asyncio.Semaphore(AT_ONCE)

    async def guarded(one: Awaitable[None]) -> None:
        try:
            await one
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                await free.acquire()
                if stop.is_set():
                    asyncio.ensure_future(one).cancel()
                    return
                group.create_task(guarded(one))
    except* LabError as errors:
        raise errors.exceptions[0] from None
