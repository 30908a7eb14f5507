"""Sessions that are set up before the start: one for every pair of users who will write to each other.

Each worker finds these pairs by itself: it draws the actions of all workers, as they will. The worker of the user with
the lower number begins:

    request    in plain; a server stores it for a user who is not online yet, and may lose it while that user logs in
               (ejabberd 24.12 sometimes does), so it is repeated until it is answered
    ready      the answer, in plain, once the other's bundle can be fetched, and to one user at a time
    first      the first message, encrypted: with OMEMO the bundle is fetched from the other's server and a session is
               built, with OTR a session is offered, and the keys are exchanged
    reply      its answer, encrypted: now both can decrypt each other's messages

A first message or reply in plain says that none follows: nobody waits for it any more, or it could not be decrypted.

One at a time, since with OMEMO two users who fetch a bundle at the same time may choose the same of its hundred keys;
the first uses the key, and the message of the second cannot be decrypted (XEP-0384 has no way to assign a key only
once). So workers need no common parent, whether they belong to one coordinator or to several. Ids of these messages are
`kind.token.from.to`, with the user who began and a token that no other load has.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, NamedTuple

from lab.errors import LabError, PeerError, UserError
from lab.load.kinds import build_draw
from lab.load.model.spec import Load, Shard
from lab.load.worker.encrypted_client import LOGIN_TIMEOUT, EncryptedClient
from lab.load.workload.actions import Action
from lab.load.workload.arrivals import parse_arrivals
from lab.load.workload.traffic import parse_traffic

#: Pairs for each worker that get a session before the start: 60 ms of processor time each, a minute in all.
MAX_PAIRS = 1000
#: Actions that are drawn to find them; the closed model has no end.
_DRAWN, _DRAWN_CLOSED = 100 * MAX_PAIRS, MAX_PAIRS // 2
#: Seconds until a user of another worker must be online: that worker's logins take time.
ONLINE_TIMEOUT = 300.0
#: Seconds until a request without an answer is repeated; doubled each time.
REPEAT_DELAY = 2.0

_REQUEST, _READY, _FIRST, _REPLY = "request", "ready", "first", "reply"
_BODY = "hello"


def find_pairs(load: Load, of: int) -> list[tuple[int, int]]:
    """Who will write to each other, lower number first, as far as it can be known. Raises UserError for too many."""
    found = dict.fromkeys(
        (min(sender, receiver), max(sender, receiver))
        for index in range(of)
        for _, sender, receiver, _ in _planned_actions(load, Shard(index, of))
    )
    if len(found) > MAX_PAIRS * of:
        raise UserError(
            f"{len(found)} pairs of users would write to each other, and at most {MAX_PAIRS} sessions for each worker"
            f" are made before the start: take {-(-len(found) // MAX_PAIRS)} workers, fewer users, a shorter load or a"
            " lower rate"
        )
    return list(found)


def _planned_actions(load: Load, shard: Shard) -> Iterator[Action]:
    draw, arrivals = build_draw(parse_traffic(load.traffic), load, shard, load.seed), parse_arrivals(load.arrivals)
    if not arrivals.open:
        return (draw() for _ in range(_DRAWN_CLOSED))
    times = arrivals.schedule(load.seed, shard, load.warmup).due(load.warmup + load.seconds)
    return (draw() for _ in islice(times, _DRAWN))


class _SetupId(NamedTuple):
    """The id of a message that sets up a session."""

    kind: str
    token: str
    first: int  # the user who began
    second: int

    @property
    def text(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> _SetupId | None:
        kind, *more = text.split(".")
        if kind not in (_REQUEST, _READY, _FIRST, _REPLY) or len(more) != 3 or not (more[1] + more[2]).isdecimal():
            return None
        return cls(kind, more[0], int(more[1]), int(more[2]))


class SessionSetup:
    """Sets up the sessions of one worker's clients.

    `address` gives the address of any user of the load, `spawn` starts a task that nobody awaits.
    """

    def __init__(
        self,
        clients: Mapping[int, EncryptedClient],
        address: Callable[[int], str],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._clients, self._address, self._spawn = clients, address, spawn
        self._token = secrets.token_hex(6)
        self._waiting: dict[str, asyncio.Future[None]] = {}  # by the id of the message that is expected
        self._accepted: set[str] = set()  # requests that are or were answered: once, however often they are received
        self._one_at_a_time: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)  # by requested user

    def setups(self, pairs: Iterable[tuple[int, int]]) -> list[Coroutine[Any, Any, None]]:
        """This worker's part of the work; each coroutine returns once both users can decrypt. They raise PeerError."""
        return [self._set_up(first, second) for first, second in pairs if first in self._clients]

    async def _set_up(self, first: int, second: int) -> None:
        client, message = self._clients[first], _SetupId(_REQUEST, self._token, first, second)
        await self._exchange(client, message, _READY, ONLINE_TIMEOUT, "is not online")
        message = message._replace(kind=_FIRST)
        await self._exchange(client, message, _REPLY, LOGIN_TIMEOUT, "has not answered an encrypted message")

    async def _exchange(
        self, client: EncryptedClient, message: _SetupId, answer: str, seconds: float, problem: str
    ) -> None:
        """Send a message, a request repeatedly, and wait for the answer."""
        to, pause = self._address(message.second), REPEAT_DELAY if message.kind == _REQUEST else seconds
        try:
            async with asyncio.timeout(seconds):
                with self._expect(message._replace(kind=answer)) as received:
                    while not received.done():
                        await client.send(to, _BODY, message.text, encryption=_encryption(message.kind))
                        await asyncio.wait([received], timeout=pause)
                        pause *= 2
                    await received
        except TimeoutError as error:
            raise PeerError(f"{to} {problem} for {client.jid} after {seconds:g} s") from error

    @contextmanager
    def _expect(self, message: _SetupId) -> Iterator[asyncio.Future[None]]:
        received = self._waiting[message.text] = asyncio.get_running_loop().create_future()
        try:
            yield received
        finally:
            del self._waiting[message.text]

    # -- what clients receive

    def on_message(self, client: EncryptedClient, identity: str, *, encrypted: bool) -> bool:
        """A client received a message; False if it is none of these."""
        message = _SetupId.parse(identity)
        if message is None:
            return False
        if message.kind == _REQUEST and message.second == client.number:
            if message.text not in self._accepted:
                self._accepted.add(message.text)
                self._spawn(self._accept(client, message))
        elif message.kind in (_FIRST, _REPLY) and not encrypted:
            first, second = self._address(message.first), self._address(message.second)
            self._fail(message, f"{first} and {second} cannot decrypt each other's messages")
        elif message.kind == _READY and identity not in self._waiting:  # requested by a load that was killed
            self._spawn(self._decline(client, message))
        elif (waiting := self._waiting.get(identity)) and not waiting.done():
            waiting.set_result(None)
        return True

    def on_failure(self, identity: str, why: str) -> bool:
        """A message bounced or cannot be decrypted; False if it is none of these."""
        message = _SetupId.parse(identity)
        if message is None:
            return False
        first, second = self._address(message.first), self._address(message.second)
        self._fail(message, f"{first} and {second}: {message.kind}: {why}")
        answer = {_REQUEST: _READY, _FIRST: _REPLY}.get(message.kind)
        if answer is not None:  # it bounced to the user who began
            self._fail(message._replace(kind=answer), f"{second}: {why}")
        return True

    def _fail(self, message: _SetupId, why: str) -> None:
        if (waiting := self._waiting.get(message.text)) and not waiting.done():
            waiting.set_exception(PeerError(why))

    async def _accept(self, client: EncryptedClient, message: _SetupId) -> None:
        """Answer a request: ready, then wait for the first message, then reply."""
        to, reply = self._address(message.first), message._replace(kind=_REPLY)
        await client.ready.wait()
        async with self._one_at_a_time[client.number]:
            try:
                async with asyncio.timeout(LOGIN_TIMEOUT):
                    with self._expect(message._replace(kind=_FIRST)) as received:
                        await client.send(to, _BODY, message._replace(kind=_READY).text, encryption="plain")
                        await received
                    await client.send(to, _BODY, reply.text)
            except (TimeoutError, LabError) as error:
                self._fail(reply, f"{client.jid}: {error or 'no message in time'}")
                await self._send_plain(client, to, reply)
                self._accepted.discard(message.text)

    async def _decline(self, client: EncryptedClient, message: _SetupId) -> None:
        await client.ready.wait()
        await self._send_plain(client, self._address(message.second), message._replace(kind=_FIRST))

    async def _send_plain(self, client: EncryptedClient, to: str, message: _SetupId) -> None:
        """Tell the other user that no encrypted message follows."""
        with suppress(LabError):  # the stream may be closed; the other user has a timeout
            await client.send(to, _BODY, message.text, encryption="plain")


def _encryption(kind: str) -> str | None:
    return None if kind in (_FIRST, _REPLY) else "plain"
