"""Logouts and logins: nothing is left behind that would be delivered twice or never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from lab.errors import PeerError
from lab.load.client.session import POLL, RECONNECT_TIMEOUT, Session
from lab.load.workload.actions import KindCode, draw_without_receiver
from lab.load.workload.requests import PendingRequests, RequestKind

#: Users who log out and in at the same time during the drain.
MAX_RELOGINS = 16


class LoginRequests(RequestKind):
    """Logs users out and in."""

    def __init__(self, requests: PendingRequests, contacts: Callable[[int], list[str]]) -> None:
        super().__init__(requests, contacts)
        self._locks: dict[int, asyncio.Lock] = {}  # by user
        self._relogged: set[int] = set()  # users who have logged out and in

    def send(self, session: Session, intended: int, size: int) -> str:
        """Log the user out and in."""
        identity = self.requests.register("login", session.number, intended, delays_logout=False)
        self.requests.start_task(session, identity, self._log_out_and_in(session, identity))
        return identity

    async def on_drain(self, sessions: Mapping[int, Session]) -> None:
        """Users who logged out and in do so once more, to get what a server may still store for them."""
        free = asyncio.Semaphore(MAX_RELOGINS)

        async def relogin(session: Session) -> None:
            async with free:
                await self._relogin(session)

        await asyncio.gather(*(relogin(sessions[user]) for user in self._relogged), return_exceptions=True)

    async def _log_out_and_in(self, session: Session, identity: str) -> None:
        """Log out once all requests of the user are answered, and in again; one login after another for each user."""
        async with self._locks.setdefault(session.number, asyncio.Lock()):
            await _wait_until_online(session)
            session.pause()
            await self.requests.wait_for_answers(session.number)
            self._relogged.add(session.number)
            await self._relogin(session)
            self.requests.end(session.number, identity)

    async def _relogin(self, session: Session) -> None:
        """Log out and in. Raises PeerError, OSError, TimeoutError; the session then tries to reconnect by itself."""
        try:
            await session.logout()
            self.requests.on_new_session(session.number)
            await session.connect()
        except (PeerError, OSError, TimeoutError) as error:
            session.reconnect(str(error))
            raise


async def _wait_until_online(session: Session) -> None:
    """Return once a session whose connection was lost is online. Raises PeerError after RECONNECT_TIMEOUT."""
    deadline = asyncio.get_running_loop().time() + RECONNECT_TIMEOUT
    while not session.online:
        if asyncio.get_running_loop().time() > deadline:
            raise PeerError("not-online")
        await asyncio.sleep(POLL)


KIND = KindCode(draw_without_receiver, LoginRequests)
