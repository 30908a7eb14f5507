"""Archives that hold something before the clock starts: everybody writes to themselves a few times.

A page of an empty archive (XEP-0313) costs a server next to nothing; with this each search finds as much as the first
screen of a conversation shows, or more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from lab.errors import TimedOut
from lab.load.client import stanzas
from lab.load.client.session import Session

#: Messages that each person's archive gets.
EACH = 5
#: Persons who write at a time.
AT_ONCE = 64
PATIENCE = 60.0  # seconds until all of them have come

_PREFIX = "fill-"


class Filling:
    """Of one worker; nothing happens unless it is `needed`."""

    def __init__(self, needed: bool) -> None:
        self._needed = needed
        self._waiting: dict[int, asyncio.Future[None]] = {}

    async def fill(self, people: Mapping[str, Session]) -> None:
        """Write and receive; `people` by their addresses. Raises TimedOut with whose messages did not come."""
        if not self._needed:
            return
        free = asyncio.Semaphore(AT_ONCE)

        async def one(address: str, session: Session) -> None:
            async with free:
                for _ in range(EACH):
                    came = self._waiting[session.number] = asyncio.get_running_loop().create_future()
                    identity = f"{_PREFIX}{session.number}".encode()
                    session.send(stanzas.message_head(address) + identity + stanzas.message_tail(1))
                    await came

        try:
            async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
                for address, session in people.items():
                    group.create_task(one(address, session))
        except TimeoutError:
            late = [address for address, session in people.items() if session.number in self._waiting]
            raise TimedOut(f"{len(late)} people do not get what they write to themselves", tuple(late[:10])) from None
        self._waiting.clear()

    def came(self, session: Session, identity: str) -> None:
        """A message came to a user that is none of the load's own."""
        if self._waiting and identity == f"{_PREFIX}{session.number}":
            came = self._waiting.pop(session.number, None)
            if came is not None and not came.done():
                came.set_result(None)
