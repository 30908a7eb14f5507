"""What users ask their servers for, with the time until the answer: presence, archive, roster, login, upload.

Each is counted like a message, on a route of its own name. What counts as received:

    presence   the server shows the user their own change (RFC 6121 section 4.4.2); what contacts get is counted apart
    roster     the roster, with each contact in it (RFC 6121 section 2.1.4)
    roster-set the server's word that a contact's new name is kept, and its push with that name (section 2.1.6)
    archive    a page with something in it (XEP-0313 section 4.3)
    upload     the place for the file, and the HTTP server's word that it has it (XEP-0363 sections 4 and 6)
    login      logged out with nothing left behind, logged in, and the server knows that the user is available

One that gets no answer until the end is lost; one that is refused, or answered with something else, has bounced with
its condition.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from time import perf_counter_ns
from typing import Any, NamedTuple

from lab.errors import PeerError
from lab.load.client import stanzas
from lab.load.client.http_upload import upload
from lab.load.client.session import POLL, RECONNECT_TIMEOUT, Session
from lab.load.client.xml_stream import Element
from lab.load.worker.deliveries import Records

#: Messages of one page of an archive: what clients ask for when they open a conversation.
PAGE = 20

#: Seconds that a logout waits for answers to what the user asked before.
PATIENCE = 10.0

#: Marks our ids among those of other stanzas.
_PREFIX = "load-"


class _Open(NamedTuple):
    kind: str
    user: int
    intended: int  # ns
    actual: int


class Requests:
    """Of one worker. `warms_up` tells a request's phase, `contacts` the addresses that a user's roster must have.

    `on_done` is told each one's id.
    """

    def __init__(self, records: Records, warms_up: Callable[[int], bool], contacts: Callable[[int], list[str]]) -> None:
        self._records, self._warms_up, self._contacts = records, warms_up, contacts
        self._open: dict[str, _Open] = {}
        self._slots: dict[str, asyncio.Future[Element]] = {}
        self._pushes: dict[str, str] = {}  # of a roster's changes: the name to be pushed -> the request
        self._asked: defaultdict[int, set[str]] = defaultdict(set)  # by user: what is open, but for logins
        self._leaving: dict[int, tuple[set[str], asyncio.Event]] = {}  # by user: what a logout waits for
        self._logins: dict[int, asyncio.Lock] = {}
        self.went: set[int] = set()  # who has logged out and in
        self._looks: Counter[int] = Counter()  # by user: at the roster
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self.on_done: Callable[[str], None] | None = None
        self.kinds: dict[str, Callable[[Session, int, int], str]] = {
            "archive": self._archive,
            "roster": self._roster,
            "login": self._login,
            "upload": self._upload,
        }

    @property
    def outstanding(self) -> int:
        """Requests without an answer yet."""
        return len(self._open)

    def ask(self, kind: str, session: Session, intended: int, size: int) -> str:
        """Do one that was due at `intended`; its id. `size` is an upload's, in bytes."""
        return self.kinds[kind](session, intended, size)

    def begun(self, kind: str, user: int, intended: int, identity: str = "") -> str:
        """Something is written now that waits for an answer to its id, which is drawn here if there is none yet."""
        now = perf_counter_ns()
        self._count += 1
        identity = identity or f"{_PREFIX}{self._count:x}-{now:x}"
        self._open[identity] = _Open(kind, user, intended, now)
        if kind != "login":
            self._asked[user].add(identity)
        self._records.sent(kind, self._warms_up(intended))
        return identity

    def ended(self, user: int, identity: str, condition: str = "") -> bool:
        """It is over, by a condition if it failed; False if there is no such thing of that user's."""
        one = self._open.get(identity)
        if one is None or one.user != user:
            return False
        del self._open[identity]
        now, warmup = perf_counter_ns(), self._warms_up(one.intended)
        if condition:
            self._records.bounced(one.kind, warmup, condition)
        else:
            self._records.received(one.kind, warmup, (now - one.intended) // 1000, (now - one.actual) // 1000)
        self._asked[user].discard(identity)
        if user in self._leaving:
            left, answered = self._leaving[user]
            left.discard(identity)
            if not left:
                answered.set()
        if self.on_done is not None:
            self.on_done(identity)
        return True

    def answered(self, session: Session, element: Element) -> None:
        """An iq came to a user."""
        identity, kind = element.attributes.get("id", ""), element.attributes.get("type")
        if kind == "set":
            self._pushed(session, element)
            return
        one = self._open.get(identity)
        if one is None or one.user != session.number:
            return
        slot = self._slots.pop(identity, None)
        if slot is not None and not slot.done():
            slot.set_result(element)
        elif kind == "error":
            self.ended(session.number, identity, condition(element))
        elif one.kind == "roster-set":  # the push ends it, which may come before or after
            self._halfway(session, identity)
        else:
            self.ended(session.number, identity, self._wrong(one, element))

    def forget(self, user: int) -> None:
        """A user has a new session, to which the server pushes nothing of the roster until it was asked for it."""
        self._looks[user] = 0

    def close(self) -> None:
        """What has no answer by now is lost."""
        for task in self._tasks:
            task.cancel()
        for one in self._open.values():
            self._records.lost(one.kind, self._warms_up(one.intended))
        self._open.clear()

    # -- one kind each

    def _archive(self, session: Session, intended: int, size: int) -> str:
        identity = self.begun("archive", session.number, intended)
        session.send(stanzas.archive_request(identity.encode(), PAGE))
        return identity

    def _roster(self, session: Session, intended: int, size: int) -> str:
        """A look at it, and each second time a change of it."""
        contacts = self._contacts(session.number)
        self._looks[session.number] += 1
        if self._looks[session.number] % 2 or not contacts:
            identity = self.begun("roster", session.number, intended)
            session.send(stanzas.roster_request(identity.encode()))
            return identity
        identity = self.begun("roster-set", session.number, intended)
        self._pushes[identity] = "both"
        whom = contacts[self._looks[session.number] // 2 % len(contacts)]
        session.send(stanzas.roster_rename(identity.encode(), whom, identity))
        return identity

    def _login(self, session: Session, intended: int, size: int) -> str:
        identity = self.begun("login", session.number, intended)
        self._task(session, identity, self._again(session, identity))
        return identity

    def _upload(self, session: Session, intended: int, size: int) -> str:
        identity = self.begun("upload", session.number, intended)
        self._task(session, identity, self._uploaded(session, identity, size))
        return identity

    async def _again(self, session: Session, identity: str) -> None:
        """Log out once all that the user asked for is answered, and back in; one after the other for a user."""
        async with self._logins.setdefault(session.number, asyncio.Lock()):
            await _online(session)
            session.pause()
            await self._answered(session.number)
            self.went.add(session.number)
            await self.anew(session)
            self.ended(session.number, identity)

    async def _answered(self, user: int) -> None:
        """Return once all that a user has asked for is answered, or will not be."""
        left, answered = {*self._asked[user]}, asyncio.Event()
        if left:
            self._leaving[user] = (left, answered)
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(answered.wait(), PATIENCE)
            finally:
                del self._leaving[user]

    async def anew(self, session: Session) -> None:
        """Out and in. Raises PeerError, OSError, TimeoutError; the session then goes on trying."""
        try:
            await session.logout()
            self.forget(session.number)
            await session.connect()
        except (PeerError, OSError, TimeoutError) as error:
            session.reconnect(str(error))
            raise

    async def _uploaded(self, session: Session, identity: str, size: int) -> None:
        slot = self._slots[identity] = asyncio.get_running_loop().create_future()
        service = f"upload.{session.endpoint.domain}"
        session.send(stanzas.upload_slot_request(identity.encode(), service, f"{identity}.bin", size))
        answer = await slot
        if answer.attributes.get("type") == "error":
            self.ended(session.number, identity, condition(answer))
            return
        await upload(answer, session.endpoint.host, session.tls, bytes(size))
        self.ended(session.number, identity)

    # -- answers

    def _wrong(self, one: _Open, answer: Element) -> str:
        """What is wrong with an answer, "" if it is what was asked for."""
        if one.kind == "archive":
            return "" if any(element.name == "first" for element in answer.walk()) else "nothing-found"
        if one.kind == "roster":
            found = {element.attributes.get("jid") for element in answer.walk() if element.name == "item"}
            return "" if found == {*self._contacts(one.user)} else "wrong-roster"
        return ""

    def _pushed(self, session: Session, element: Element) -> None:
        """A roster push (RFC 6121 section 2.1.6), which wants an answer; from the user's own server alone."""
        session.send(stanzas.result_reply(element.attributes))
        for item in element.walk():
            if item.name == "item" and item.attributes.get("name") in self._pushes:
                self._halfway(session, item.attributes["name"])

    def _halfway(self, session: Session, identity: str) -> None:
        """A change of a roster has its answer, or its push."""
        if self._pushes.get(identity) == "both":
            self._pushes[identity] = "one"
        elif self._pushes.pop(identity, None) is not None:
            self.ended(session.number, identity)

    # -- work of several steps

    def _task(self, session: Session, identity: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(session, identity, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, session: Session, identity: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except TimeoutError:
            self.ended(session.number, identity, "timeout")
        except (PeerError, OSError) as error:
            self.ended(session.number, identity, str(error)[:80])


async def _online(session: Session) -> None:
    """Return once a session whose connection broke is back. Raises PeerError if that takes too long."""
    deadline = asyncio.get_running_loop().time() + RECONNECT_TIMEOUT
    while not session.online:
        if asyncio.get_running_loop().time() > deadline:
            raise PeerError("not-online")
        await asyncio.sleep(POLL)


def condition(element: Element) -> str:
    """The condition of a stanza's error (RFC 6120 section 8.3.3)."""
    error = element.find("error")
    named = next((child.name for child in error.children if child.name != "text"), None) if error else None
    return named or "undefined-condition"
