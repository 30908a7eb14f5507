"""All users of a worker come online, at a bounded rate; then they enter their rooms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from lab.errors import PeerError
from lab.load.client.session import Session

#: Logins under way at a time: a server that takes long must not be asked by everybody at once.
MOST_AT_ONCE = 64
#: Attempts of one user: a full listen queue refuses a connection that would stand a moment later.
ATTEMPTS = 3
PAUSE = 0.5  # seconds between two attempts
PROGRESS = 1.0  # seconds


async def all_online(
    sessions: Iterable[Session], rate: float, progress: Callable[[int], None], stop: asyncio.Event
) -> None:
    """Log all in, `rate` a second. Returns early when `stop` is set.

    Raises PeerError with the first one who cannot log in; the others' attempts are over by then.
    """
    loop = asyncio.get_running_loop()
    began, online, told = loop.time(), 0, 0.0
    free = asyncio.Semaphore(MOST_AT_ONCE)

    async def one(session: Session) -> None:
        nonlocal online, told
        try:
            await _patiently(session)
        finally:
            free.release()
        online += 1
        if loop.time() >= told:
            told = loop.time() + PROGRESS
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


async def _patiently(session: Session) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await session.connect()
        except (OSError, TimeoutError, PeerError) as error:
            if attempt == ATTEMPTS or isinstance(error, PeerError):
                place = f"{session.endpoint.host}:{session.endpoint.port}"
                raise PeerError(
                    f"{session.user}@{session.endpoint.domain} cannot log in at {place}: {error or 'no answer in time'}"
                ) from error
            await asyncio.sleep(PAUSE)
        else:
            return
