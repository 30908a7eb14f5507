"""Requests of users to their own servers, with the time until the answer: archive, roster, login, upload, presence.

Each is counted like a message, on a route of its own name; the declaration of its load kind says when it counts as
received. A request that has no answer at the end is lost; one with an error, or with another answer than the one that
was requested, counts as bounced with its condition.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from time import perf_counter_ns
from typing import Any, NamedTuple

from lab.errors import PeerError
from lab.load.client import stanzas
from lab.load.client.session import Session
from lab.load.client.xml_stream import Element
from lab.load.metrics.sample_recorder import SampleRecorder

#: Seconds that a logout waits for answers to the user's earlier requests.
ANSWER_TIMEOUT = 10.0

#: The start of the requests' ids.
_PREFIX = "load-"

#: Called with the session, the request's id, and the result.
OnResult = Callable[[Session, str, Element], None]


class _OpenRequest(NamedTuple):
    route: str
    user: int
    intended: int  # ns
    actual: int
    on_result: OnResult | None


class RequestKind:
    """Performs the requests of one load kind, for the users of one worker.

    `contacts` gives the addresses that the roster of a user must contain.
    """

    def __init__(self, requests: PendingRequests, contacts: Callable[[int], list[str]]) -> None:
        self.requests, self.contacts = requests, contacts

    def send(self, session: Session, intended: int, size: int) -> str:
        """Send a request that was due at `intended`; its id. `size` is the size of an upload in bytes."""
        raise NotImplementedError

    def on_push(self, session: Session, element: Element) -> None:
        """A user received a push of their server, which is already answered."""

    def on_new_session(self, user: int) -> None:
        """A user has a new session, which knows nothing of the previous one."""

    async def on_drain(self, sessions: Mapping[int, Session]) -> None:
        """Some receipts are still missing; `sessions` are those of the worker, by user."""


class PendingRequests:
    """The requests of one worker's users that have no answer yet.

    `in_warmup` gives the phase of a request by the time when it was due. `on_ended` gets the id of each request that
    has ended.
    """

    def __init__(self, recorder: SampleRecorder, in_warmup: Callable[[int], bool]) -> None:
        self._recorder, self._in_warmup = recorder, in_warmup
        self.kinds: dict[str, RequestKind] = {}  # by action
        self._open: dict[str, _OpenRequest] = {}
        self._open_of: defaultdict[int, set[str]] = defaultdict(set)  # by user: requests that a logout waits for
        self._logouts: dict[int, tuple[set[str], asyncio.Event]] = {}  # by user: what a logout still waits for
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self.on_ended: Callable[[str], None] | None = None

    @property
    def outstanding(self) -> int:
        """How many requests have no answer yet."""
        return len(self._open)

    def register(
        self,
        route: str,
        user: int,
        intended: int,
        *,
        identity: str = "",
        on_result: OnResult | None = None,
        delays_logout: bool = True,
    ) -> str:
        """Count a request that is sent now; its id, which is made here unless it is given.

        `on_result` gets the result and must `end` the request then or later; without it any result ends the request.
        """
        now = perf_counter_ns()
        self._count += 1
        identity = identity or f"{_PREFIX}{self._count:x}-{now:x}"
        self._open[identity] = _OpenRequest(route, user, intended, now, on_result)
        if delays_logout:
            self._open_of[user].add(identity)
        self._recorder.record_sent(route, self._in_warmup(intended))
        return identity

    def end(self, user: int, identity: str, condition: str = "") -> bool:
        """A request has ended, with a condition if it failed; False if the user has no such request."""
        one = self._open.get(identity)
        if one is None or one.user != user:
            return False
        del self._open[identity]
        now, warmup = perf_counter_ns(), self._in_warmup(one.intended)
        if condition:
            self._recorder.record_bounced(one.route, warmup, condition)
        else:
            self._recorder.record_received(one.route, warmup, (now - one.intended) // 1000, (now - one.actual) // 1000)
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
        """A user received an iq stanza: a push of the user's own server, or an answer."""
        identity, kind = element.attributes.get("id", ""), element.attributes.get("type")
        if kind == "set":
            session.send(stanzas.build_result_reply(element.attributes))
            for each in self.kinds.values():
                each.on_push(session, element)
            return
        one = self._open.get(identity)
        if one is None or one.user != session.number:
            return
        if kind == "error":
            self.end(session.number, identity, read_error_condition(element))
        elif one.on_result is not None:
            one.on_result(session, identity, element)
        else:
            self.end(session.number, identity)

    def on_new_session(self, user: int) -> None:
        """A user has a new session, which knows nothing of the previous one."""
        for each in self.kinds.values():
            each.on_new_session(user)

    async def on_drain(self, sessions: Mapping[int, Session]) -> None:
        """Some receipts are still missing; `sessions` are those of the worker, by user."""
        await asyncio.gather(*(each.on_drain(sessions) for each in self.kinds.values()))

    async def wait_for_answers(self, user: int) -> None:
        """Return once all requests of a user are answered, or after ANSWER_TIMEOUT."""
        left, answered = {*self._open_of[user]}, asyncio.Event()
        if left:
            self._logouts[user] = (left, answered)
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(answered.wait(), ANSWER_TIMEOUT)
            finally:
                del self._logouts[user]

    def start_task(self, session: Session, identity: str, work: Coroutine[Any, Any, None]) -> None:
        """Run what a request does in several steps; if it raises PeerError, OSError or TimeoutError, it has failed."""
        task = asyncio.get_running_loop().create_task(self._run_task(session, identity, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Count the requests without an answer as lost."""
        for task in self._tasks:
            task.cancel()
        for one in self._open.values():
            self._recorder.record_lost(one.route, self._in_warmup(one.intended))
        self._open.clear()

    async def _run_task(self, session: Session, identity: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except TimeoutError:
            self.end(session.number, identity, "timeout")
        except (PeerError, OSError) as error:
            self.end(session.number, identity, str(error)[:80])


def read_error_condition(element: Element) -> str:
    """The condition of a stanza's error (RFC 6120 section 8.3.3)."""
    error = element.find("error")
    named = next((child.name for child in error.children if child.name != "text"), None) if error else None
    return named or "undefined-condition"
