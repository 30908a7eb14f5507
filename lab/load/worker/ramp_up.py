"""Users enter the load's rooms (XEP-0045 section 7.2), whichever worker's user comes first.

The first one makes the room, which is locked until its owner accepts its settings (section 10.1.2); who comes in
between is turned away and tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from lab.errors import TimedOut
from lab.load.client import stanzas
from lab.load.client.session import Session
from lab.load.client.xml_stream import Element

AGAIN = 0.2  # seconds until one who was turned away tries again
#: Seconds without an answer until one asks again: what comes to a room while its last person leaves may go with it.
UNANSWERED = 5.0
PATIENCE = 60.0  # seconds until everybody is in

_NO_ANSWER = "no answer"
CREATED, ONESELF = "201", "110"  # status codes (XEP-0045 section 15.6)


class Entering:
    """`room_of` gives the address of a user's room, None if they have none; `user` their nick in it."""

    def __init__(self, room_of: Callable[[int], str | None]) -> None:
        self._room_of = room_of
        self._outside: dict[int, str] = {}  # user -> the last refusal
        self._asking: dict[int, Session] = {}
        self._all_in = asyncio.Event()

    def enter(self, session: Session) -> None:
        """Ask to be let in, if the user has a room."""
        room = self._room_of(session.number)
        if room is not None:
            self._outside.setdefault(session.number, _NO_ANSWER)
            self._asking[session.number] = session
            self._all_in.clear()
            session.send(stanzas.room_join(room, nick(session.number)))

    async def all_in(self) -> None:
        """Returns once everybody who asked is in. Raises TimedOut with who is not, and why."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while self._outside:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_in.wait(), min(UNANSWERED, deadline - loop.time()))
            if loop.time() >= deadline:
                evidence = [f"{self._room_of(user)}/{nick(user)}: {why}" for user, why in self._outside.items()]
                raise TimedOut(f"{len(evidence)} users do not get into their rooms", tuple(evidence[:10]))
            for user in [user for user, why in self._outside.items() if why == _NO_ANSWER]:
                self.enter(self._asking[user])

    def presence(self, session: Session, element: Element) -> bool:
        """A presence came to a user; whether it was about entering."""
        room = self._room_of(session.number)
        if room is None or not element.attributes.get("from", "").startswith(f"{room}/"):
            return False
        if element.attributes.get("type") == "error":
            error = element.find("error")
            self._outside[session.number] = repr(error)
            asyncio.get_running_loop().call_later(AGAIN, self.enter, session)
            return True
        codes = {e.attributes.get("code") for e in element.walk() if e.name == "status"}
        if CREATED in codes:
            session.send(stanzas.room_settings_accepted(room))
        if ONESELF in codes:
            self._outside.pop(session.number, None)
            if not self._outside:
                self._all_in.set()
        return True


def nick(user: int) -> str:
    """A user's nick in any room."""
    return f"load{user}"
