"""Requests of users to their servers, with the time until the answer: presence, archive, roster, login, upload.

Each is counted like a message, on a route of its own name. It counts as received when

    presence   the server sends the user its own presence (RFC 6121 section 4.4.2); contacts' receipts are counted apart
    roster     the roster is received, with each contact in it (RFC 6121 section 2.1.4)
    roster-set the server has answered that a contact has a new name, and pushed that name (section 2.1.6)
    archive    a page with at least one message is received (XEP-0313 section 4.3)
    upload     the server has assigned a slot, and the HTTP server has accepted the file (XEP-0363 sections 4 and 6)
    login      the user has logged out with nothing left behind, logged in, and sent presence that the server has

A request that has no answer at the end is lost; one with an error, or with another answer, counts as bounced with its
condition.
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
from lab.load.worker.recorder import SampleRecorder

#: Messages of one page of an archive: as many as clients request when they open a conversation.
PAGE = 20

#: Seconds that a logout waits for answers to the user's earlier requests.
ANSWER_TIMEOUT = 10.0

#: The start of the requests' ids.
_PREFIX = "load-"


class _OpenRequest(NamedTuple):
    kind: str
    user: int
    intended: int  # ns
    actual: int


class Requests:
    """The requests of one worker's users.

    `in_warmup` gives a request's phase by the time when it was due, `contacts` the addresses that a user's roster must
    have. `on_ended` gets the id of each request that has ended.
    """

    def __init__(
        self, recorder: SampleRecorder, in_warmup: Callable[[int], bool], contacts: Callable[[int], list[str]]
    ) -> None:
        self._recorder, self._in_warmup, self._contacts = recorder, in_warmup, contacts
        self._open: dict[str, _OpenRequest] = {}
        self._slots: dict[str, asyncio.Future[Element]] = {}
        self._renames: dict[str, str] = {}  # by request, whose id is also the new name: "both" or "one" to be received
        self._open_of: defaultdict[int, set[str]] = defaultdict(set)  # by user: open requests, without logins
        self._logouts: dict[int, tuple[set[str], asyncio.Event]] = {}  # by user: the requests that a logout waits for
        self._login_locks: dict[int, asyncio.Lock] = {}
        self.relogged: set[int] = set()  # users who have logged out and in
        self._roster_uses: Counter[int] = Counter()  # by user
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self.on_ended: Callable[[str], None] | None = None
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

    def send(self, kind: str, session: Session, intended: int, size: int) -> str:
        """Send a request that was due at `intended`; its id. `size` is the size of an upload in bytes."""
        return self.kinds[kind](session, intended, size)

    def register(self, kind: str, user: int, intended: int, identity: str = "") -> str:
        """Count a request that is sent now; its id, which is made here unless it is given."""
        now = perf_counter_ns()
        self._count += 1
        identity = identity or f"{_PREFIX}{self._count:x}-{now:x}"
        self._open[identity] = _OpenRequest(kind, user, intended, now)
        if kind != "login":
            self._open_of[user].add(identity)
        self._recorder.sent(kind, self._in_warmup(intended))
        return identity

    def end(self, user: int, identity: str, condition: str = "") -> bool:
        """A request has ended, with a condition if it failed; False if the user has no such request."""
        one = self._open.get(identity)
        if one is None or one.user != user:
            return False
        del self._open[identity]
        now, warmup = perf_counter_ns(), self._in_warmup(one.intended)
        if condition:
            self._recorder.bounced(one.kind, warmup, condition)
        else:
            self._recorder.received(one.kind, warmup, (now - one.intended) // 1000, (now - one.actual) // 1000)
        self._open_of[user].discard(identity)
        if user in self._logouts:
            left, answered = self._logouts[user]
            left.discard(identity)
            if not left:
                answered.set()
        if self.on_ended is not None:
            self.on_ended(identity)
        return True

    def on_iq(self, session: Session, element: Element) -> None:
        """A user received an iq stanza."""
        identity, kind = element.attributes.get("id", ""), element.attributes.get("type")
        if kind == "set":
            self._on_roster_push(session, element)
            return
        one = self._open.get(identity)
        if one is None or one.user != session.number:
            return
        slot = self._slots.pop(identity, None)
        if slot is not None and not slot.done():
            slot.set_result(element)
        elif kind == "error":
            self.end(session.number, identity, error_condition(element))
        elif one.kind == "roster-set":  # the push may be received before or after the answer
            self._on_rename_step(session, identity)
        else:
            self.end(session.number, identity, self._check(one, element))

    def on_new_session(self, user: int) -> None:
        """A user has a new session, to which the server pushes no roster changes until the roster was requested."""
        self._roster_uses[user] = 0

    def close(self) -> None:
        """Count the requests without an answer as lost."""
        for task in self._tasks:
            task.cancel()
        for one in self._open.values():
            self._recorder.lost(one.kind, self._in_warmup(one.intended))
        self._open.clear()

    # -- one method for each kind

    def _archive(self, session: Session, intended: int, size: int) -> str:
        identity = self.register("archive", session.number, intended)
        session.send(stanzas.archive_request(identity.encode(), PAGE))
        return identity

    def _roster(self, session: Session, intended: int, size: int) -> str:
        """Request the roster, and every second time rename a contact in it."""
        contacts = self._contacts(session.number)
        self._roster_uses[session.number] += 1
        if self._roster_uses[session.number] % 2 or not contacts:
            identity = self.register("roster", session.number, intended)
            session.send(stanzas.roster_request(identity.encode()))
            return identity
        identity = self.register("roster-set", session.number, intended)
        self._renames[identity] = "both"
        whom = contacts[self._roster_uses[session.number] // 2 % len(contacts)]
        session.send(stanzas.roster_rename(identity.encode(), whom, identity))
        return identity

    def _login(self, session: Session, intended: int, size: int) -> str:
        identity = self.register("login", session.number, intended)
        self._start_task(session, identity, self._log_out_and_in(session, identity))
        return identity

    def _upload(self, session: Session, intended: int, size: int) -> str:
        identity = self.register("upload", session.number, intended)
        self._start_task(session, identity, self._upload_file(session, identity, size))
        return identity

    async def _log_out_and_in(self, session: Session, identity: str) -> None:
        """Log out once all requests of the user are answered, and in again; one login after another for each user."""
        async with self._login_locks.setdefault(session.number, asyncio.Lock()):
            await _wait_until_online(session)
            session.pause()
            await self._wait_for_answers(session.number)
            self.relogged.add(session.number)
            await self.relogin(session)
            self.end(session.number, identity)

    async def _wait_for_answers(self, user: int) -> None:
        """Return once all requests of a user are answered, or after ANSWER_TIMEOUT."""
        left, answered = {*self._open_of[user]}, asyncio.Event()
        if left:
            self._logouts[user] = (left, answered)
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(answered.wait(), ANSWER_TIMEOUT)
            finally:
                del self._logouts[user]

    async def relogin(self, session: Session) -> None:
        """Log out and in. Raises PeerError, OSError, TimeoutError; the session then tries to reconnect by itself."""
        try:
            await session.logout()
            self.on_new_session(session.number)
            await session.connect()
        except (PeerError, OSError, TimeoutError) as error:
            session.reconnect(str(error))
            raise

    async def _upload_file(self, session: Session, identity: str, size: int) -> None:
        slot = self._slots[identity] = asyncio.get_running_loop().create_future()
        service = f"upload.{session.endpoint.domain}"
        session.send(stanzas.upload_slot_request(identity.encode(), service, f"{identity}.bin", size))
        answer = await slot
        if answer.attributes.get("type") == "error":
            self.end(session.number, identity, error_condition(answer))
            return
        await upload(answer, session.endpoint.host, session.tls, bytes(size))
        self.end(session.number, identity)

    # -- answers

    def _check(self, one: _OpenRequest, answer: Element) -> str:
        """The condition of an answer that is not the one that was requested, "" if it is."""
        if one.kind == "archive":
            return "" if any(element.name == "first" for element in answer.walk()) else "nothing-found"
        if one.kind == "roster":
            found = {element.attributes.get("jid") for element in answer.walk() if element.name == "item"}
            return "" if found == {*self._contacts(one.user)} else "wrong-roster"
        return ""

    def _on_roster_push(self, session: Session, element: Element) -> None:
        """A roster push (RFC 6121 section 2.1.6), which must be answered; only the user's own server sends one."""
        session.send(stanzas.result_reply(element.attributes))
        for item in element.walk():
            if item.name == "item" and item.attributes.get("name") in self._renames:
                self._on_rename_step(session, item.attributes["name"])

    def _on_rename_step(self, session: Session, identity: str) -> None:
        """The answer to a rename was received, or its push."""
        if self._renames.get(identity) == "both":
            self._renames[identity] = "one"
        elif self._renames.pop(identity, None) is not None:
            self.end(session.number, identity)

    # -- requests of several steps

    def _start_task(self, session: Session, identity: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._run_task(session, identity, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_task(self, session: Session, identity: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except TimeoutError:
            self.end(session.number, identity, "timeout")
        except (PeerError, OSError) as error:
            self.end(session.number, identity, str(error)[:80])


async def _wait_until_online(session: Session) -> None:
    """Return once a session whose connection was lost is online. Raises PeerError after RECONNECT_TIMEOUT."""
    deadline = asyncio.get_running_loop().time() + RECONNECT_TIMEOUT
    while not session.online:
        if asyncio.get_running_loop().time() > deadline:
            raise PeerError("not-online")
        await asyncio.sleep(POLL)


def error_condition(element: Element) -> str:
    """The condition of a stanza's error (RFC 6120 section 8.3.3)."""
    error = element.find("error")
    named = next((child.name for child in error.children if child.name != "text"), None) if error else None
    return named or "undefined-condition"
