"""People of an encrypted load get to know each other: a session for every pair that will write, before the start.

Which pairs these are each worker finds by itself: it draws the acts of all workers, as they will. The worker of the one
with the lower number begins:

    ask    "may I?", in plain; a server keeps it for one who is not online yet, and may lose it while they log in
           (ejabberd 24.12 does, once in a while), so who gets no answer asks again
    here   the answer, in plain, once the other's bundle can be fetched, and to one at a time
    hello  a first message, encrypted: the bundle is fetched from the other's server, and a session built
    back   the answer, encrypted: both can read each other now

A hello or back in plain says that nothing comes: nobody waits for it any more, or what came cannot be read.

One at a time, since two who are given a bundle at the same moment may choose the same of its hundred keys; the first
uses it up, and what the second wrote cannot be read (XEP-0384 has no way to hand a key out once). So workers need
nobody in between, be they of one conductor or of several. Ids of these messages are `kind.token.from.to`, with who
began and a token that no other load has.
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
from lab.load.model.spec import Load, Shard
from lab.load.worker.omemo_client import PATIENCE, Person
from lab.load.workload.arrivals import parse as parse_arrivals
from lab.load.workload.traffic import Act
from lab.load.workload.traffic_mix import parse

#: Pairs for each worker that get a session before the start: 60 ms of processor time each, a minute in all.
PAIRS = 1000
#: Acts that are drawn to find them; the closed model has no end.
_DRAWN, _DRAWN_CLOSED = 100 * PAIRS, PAIRS // 2
#: Seconds until somebody of another worker has to be online: that worker's logins take their time.
ARRIVING = 300.0
#: Seconds until somebody who does not answer is asked again; doubled each time.
AGAIN = 2.0

_ASK, _HERE, _HELLO, _BACK = "ask", "here", "hello", "back"
_WORDS = "hello"


def pairs(load: Load, of: int) -> list[tuple[int, int]]:
    """Who will write to each other, lower number first, as far as it can be known. Raises UserError for too many."""
    found = dict.fromkeys(
        (min(sender, receiver), max(sender, receiver))
        for index in range(of)
        for _, sender, receiver, _ in _upcoming(load, Shard(index, of))
    )
    if len(found) > PAIRS * of:
        raise UserError(
            f"{len(found)} pairs of people would write to each other, and at most {PAIRS} sessions for each worker are"
            f" made before the start: take {-(-len(found) // PAIRS)} workers, fewer users, a shorter load or a lower"
            " rate"
        )
    return list(found)


def _upcoming(load: Load, shard: Shard) -> Iterator[Act]:
    picker, arrivals = parse(load.traffic).picker(load, shard, load.seed), parse_arrivals(load.arrivals)
    if not arrivals.open:
        return (picker.next() for _ in range(_DRAWN_CLOSED))
    times = arrivals.schedule(load.seed, shard, load.warmup).due(load.warmup + load.seconds)
    return (picker.next() for _ in islice(times, _DRAWN))


class _Word(NamedTuple):
    """The id of a message between two who get to know each other."""

    kind: str
    token: str
    one: int  # who began
    other: int

    @property
    def text(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def read(cls, text: str) -> _Word | None:
        kind, *more = text.split(".")
        if kind not in (_ASK, _HERE, _HELLO, _BACK) or len(more) != 3 or not (more[1] + more[2]).isdecimal():
            return None
        return cls(kind, more[0], int(more[1]), int(more[2]))


class Acquaintance:
    """Of one worker with these people; `address` gives anybody's, `spawn` runs what nobody waits for."""

    def __init__(
        self,
        people: Mapping[int, Person],
        address: Callable[[int], str],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._people, self._address, self._spawn = people, address, spawn
        self._token = secrets.token_hex(6)
        self._waiting: dict[str, asyncio.Future[None]] = {}  # for what was said, by its id
        self._asked: set[str] = set()  # questions that were, or are being, answered: once, however often they come
        self._free: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)  # by person who is asked

    def begun(self, pairs: Iterable[tuple[int, int]]) -> list[Coroutine[Any, Any, None]]:
        """What this worker has to do for them; each returns once both can read each other. They raise PeerError."""
        return [self._meet(one, other) for one, other in pairs if one in self._people]

    async def _meet(self, one: int, other: int) -> None:
        person, word = self._people[one], _Word(_ASK, self._token, one, other)
        await self._said(person, word, _HERE, ARRIVING, "is not there")
        await self._said(person, word._replace(kind=_HELLO), _BACK, PATIENCE, "has not answered what is encrypted")

    async def _said(self, person: Person, word: _Word, answer: str, patience: float, not_so: str) -> None:
        """Say it, a question again and again, and wait for the answer."""
        to, pause = self._address(word.other), AGAIN if word.kind == _ASK else patience
        try:
            async with asyncio.timeout(patience):
                with self._heard(word._replace(kind=answer)) as heard:
                    while not heard.done():
                        await person.send(to, _WORDS, word.text, encryption=_encryption(word.kind))
                        await asyncio.wait([heard], timeout=pause)
                        pause *= 2
                    await heard
        except TimeoutError as error:
            raise PeerError(f"{to} {not_so} for {person.jid} after {patience:g} s") from error

    @contextmanager
    def _heard(self, word: _Word) -> Iterator[asyncio.Future[None]]:
        heard = self._waiting[word.text] = asyncio.get_running_loop().create_future()
        try:
            yield heard
        finally:
            del self._waiting[word.text]

    # -- what comes

    def came(self, person: Person, identity: str, *, encrypted: bool) -> bool:
        """A message came to a person and was read; whether it was one of these."""
        word = _Word.read(identity)
        if word is None:
            return False
        if word.kind == _ASK and word.other == person.number:
            if word.text not in self._asked:
                self._asked.add(word.text)
                self._spawn(self._receive(person, word))
        elif word.kind in (_HELLO, _BACK) and not encrypted:
            self._fail(word, f"{self._address(word.one)} and {self._address(word.other)} cannot read each other")
        elif word.kind == _HERE and identity not in self._waiting:  # asked by a load that was killed
            self._spawn(self._decline(person, word))
        elif (waiting := self._waiting.get(identity)) and not waiting.done():
            waiting.set_result(None)
        return True

    def failed(self, identity: str, why: str) -> bool:
        """A message came back, or cannot be read; whether it was one of these."""
        word = _Word.read(identity)
        if word is None:
            return False
        self._fail(word, f"{self._address(word.one)} and {self._address(word.other)}: {word.kind}: {why}")
        answer = {_ASK: _HERE, _HELLO: _BACK}.get(word.kind)
        if answer is not None:  # it came back to who began
            self._fail(word._replace(kind=answer), f"{self._address(word.other)}: {why}")
        return True

    def _fail(self, word: _Word, why: str) -> None:
        if (waiting := self._waiting.get(word.text)) and not waiting.done():
            waiting.set_exception(PeerError(why))

    async def _receive(self, person: Person, word: _Word) -> None:
        """Somebody asks: let them write, and answer."""
        to, back = self._address(word.one), word._replace(kind=_BACK)
        await person.ready.wait()
        async with self._free[person.number]:
            try:
                async with asyncio.timeout(PATIENCE):
                    with self._heard(word._replace(kind=_HELLO)) as heard:
                        await person.send(to, _WORDS, word._replace(kind=_HERE).text, encryption="plain")
                        await heard
                    await person.send(to, _WORDS, back.text)
            except (TimeoutError, LabError) as error:
                self._fail(back, f"{person.jid}: {error or 'nothing came in time'}")
                await self._give_up(person, to, back)
                self._asked.discard(word.text)

    async def _decline(self, person: Person, word: _Word) -> None:
        await person.ready.wait()
        await self._give_up(person, self._address(word.other), word._replace(kind=_HELLO))

    async def _give_up(self, person: Person, to: str, word: _Word) -> None:
        with suppress(LabError):  # the stream may be gone; who waits has a limit of their own
            await person.send(to, _WORDS, word.text, encryption="plain")


def _encryption(kind: str) -> str | None:
    return None if kind in (_HELLO, _BACK) else "plain"
