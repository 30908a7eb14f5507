"""Before the clock starts: all users of a worker log in at a bounded rate, join their rooms, and fill their archives.

Rooms (XEP-0045 section 7.2): any worker's user may be the first to join one, and creates it so. It stays locked until
its owner accepts its settings (section 10.1.2); a user who joins in between is refused and tries again.

Archives (XEP-0313): every user sends a few messages to itself. A page of an empty archive costs a server next to
nothing; with these messages each query finds at least as much as the first screen of a conversation shows.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping

from lab.errors import PeerError, TimedOut
from lab.load.client import stanzas
from lab.load.client.session import Session
from lab.load.client.xml_stream import Element

#: Logins at the same time: a slow server must not get those of all users at once.
MAX_LOGINS = 64
#: Attempts of one user: a full listen queue refuses a connection that it would accept a moment later.
LOGIN_ATTEMPTS = 3
LOGIN_PAUSE = 0.5  # seconds between two attempts
PROGRESS_INTERVAL = 1.0  # seconds

JOIN_PAUSE = 0.2  # seconds after a refusal until the user tries again
#: Seconds without an answer until a user tries again: a room that ends with its last user may lose what it receives.
JOIN_ANSWER_TIMEOUT = 5.0
JOIN_TIMEOUT = 60.0  # seconds until all users have joined

CREATED, OWN_PRESENCE = "201", "110"  # status codes (XEP-0045 section 15.6)
_NO_ANSWER = "no answer"

#: Messages for each user's archive.
ARCHIVED_MESSAGES = 5
#: Users who fill their archives at the same time.
MAX_ARCHIVES = 64
ARCHIVE_TIMEOUT = 60.0  # seconds until all archives are filled
_ARCHIVE_ID = "fill-"  # the start of these messages' ids


async def log_in(
    sessions: Iterable[Session], rate: float, progress: Callable[[int], None], stop: asyncio.Event
) -> None:
    """Log all users in, `rate` per second. Returns early when `stop` is set.

    Raises PeerError with the first user who cannot log in; the other attempts have ended by then.
    """
    loop = asyncio.get_running_loop()
    began, online, reported = loop.time(), 0, 0.0
    free = asyncio.Semaphore(MAX_LOGINS)

    async def one(session: Session) -> None:
        nonlocal online, reported
        try:
            await _connect(session)
        finally:
            free.release()
        online += 1
        if loop.time() >= reported:
            reported = loop.time() + PROGRESS_INTERVAL
            progress(online)

    try:
        async with asyncio.TaskGroup() as group:
            for number, session in enumerate(sessions):
                await asyncio.sleep(max(0.0, began + number / rate - loop.time()))
                await free.acquire()
                if stop.is_set():
                    return
                group.create_task(one(session))
    except* PeerError as errors:
        raise errors.exceptions[0] from None


async def _connect(session: Session) -> None:
    """Log one user in, with several attempts if the connection fails."""
    for attempt in range(1, LOGIN_ATTEMPTS + 1):
        try:
            await session.connect()
        except (OSError, TimeoutError, PeerError) as error:
            if attempt == LOGIN_ATTEMPTS or isinstance(error, PeerError):
                place = f"{session.endpoint.host}:{session.endpoint.port}"
                raise PeerError(
                    f"{session.user}@{session.endpoint.domain} cannot log in at {place}: {error or 'no answer in time'}"
                ) from error
            await asyncio.sleep(LOGIN_PAUSE)
        else:
            return


class RoomJoins:
    """The users of one worker join their rooms. `room_of` gives the address of a user's room, None if it has none."""

    def __init__(self, room_of: Callable[[int], str | None]) -> None:
        self._room_of = room_of
        self._outside: dict[int, str] = {}  # by user: the last refusal
        self._joining: dict[int, Session] = {}
        self._all_joined = asyncio.Event()

    def join(self, session: Session) -> None:
        """Send the user's presence to its room, if it has one."""
        room = self._room_of(session.number)
        if room is not None:
            self._outside.setdefault(session.number, _NO_ANSWER)
            self._joining[session.number] = session
            self._all_joined.clear()
            session.send(stanzas.build_room_join(room, build_nick(session.number)))

    async def wait_until_joined(self) -> None:
        """Return once all users are in their rooms. Raises TimedOut, with who is not and why."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + JOIN_TIMEOUT
        while self._outside:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_joined.wait(), min(JOIN_ANSWER_TIMEOUT, deadline - loop.time()))
            if loop.time() >= deadline:
                evidence = [f"{self._room_of(user)}/{build_nick(user)}: {why}" for user, why in self._outside.items()]
                raise TimedOut(f"{len(evidence)} users cannot join their rooms", tuple(evidence[:10]))
            for user in [user for user, why in self._outside.items() if why == _NO_ANSWER]:
                self.join(self._joining[user])

    def on_presence(self, session: Session, element: Element) -> bool:
        """Handle a presence that a user received; False if it does not come from the user's room."""
        room = self._room_of(session.number)
        if room is None or not element.attributes.get("from", "").startswith(f"{room}/"):
            return False
        if element.attributes.get("type") == "error":
            error = element.find("error")
            self._outside[session.number] = repr(error)
            asyncio.get_running_loop().call_later(JOIN_PAUSE, self.join, session)
            return True
        codes = {e.attributes.get("code") for e in element.walk() if e.name == "status"}
        if CREATED in codes:
            session.send(stanzas.build_room_settings(room))
        if OWN_PRESENCE in codes:
            self._outside.pop(session.number, None)
            if not self._outside:
                self._all_joined.set()
        return True


def build_nick(user: int) -> str:
    """A user's nickname in any room."""
    return f"load{user}"


class ArchiveFiller:
    """The users of one worker fill their archives, if that is `needed`."""

    def __init__(self, needed: bool) -> None:
        self._needed = needed
        self._waiting: dict[int, asyncio.Future[None]] = {}

    async def fill(self, sessions: Mapping[str, Session]) -> None:
        """Send and receive the messages; `sessions` by address. Raises TimedOut with the users who received nothing."""
        if not self._needed:
            return
        free = asyncio.Semaphore(MAX_ARCHIVES)

        async def one(address: str, session: Session) -> None:
            async with free:
                for _ in range(ARCHIVED_MESSAGES):
                    received = self._waiting[session.number] = asyncio.get_running_loop().create_future()
                    identity = f"{_ARCHIVE_ID}{session.number}".encode()
                    session.send(stanzas.build_message_head(address) + identity + stanzas.build_message_tail(1))
                    await received

        try:
            async with asyncio.timeout(ARCHIVE_TIMEOUT), asyncio.TaskGroup() as group:
                for address, session in sessions.items():
                    group.create_task(one(address, session))
        except TimeoutError:
            late = [address for address, session in sessions.items() if session.number in self._waiting]
            raise TimedOut(f"{len(late)} users do not receive messages to themselves", tuple(late[:10])) from None
        self._waiting.clear()

    def on_message(self, session: Session, identity: str) -> None:
        """A user received a message that is none of the load's own."""
        if self._waiting and identity == f"{_ARCHIVE_ID}{session.number}":
            received = self._waiting.pop(session.number, None)
            if received is not None and not received.done():
                received.set_result(None)
