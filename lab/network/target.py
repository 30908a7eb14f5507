"""A server as the relays that lead to it see it: dial it, and until it listens for the first time, wait for it.

Servers start at the same time and find each other before all of them listen. A caller that met a refusal then
would wait through its own retry, so a relay holds the caller instead. Once a server has been reached, nothing
is softened any more: what does not answer in DIAL_LIMIT seconds, or refuses, is a failure that the caller sees.

An address that nobody has yet is not dialled: the kernel asks the network for its owner once a second and no more often
(RFC 1122 section 2.3.2.1), so one try too early holds up the first connection for the rest of that second.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeVar

DIAL_LIMIT = 2.0  # seconds: far above any path in a lab, far below the patience of any server (10-90 s)
FIRST_DIAL_LIMIT = 1.0  # seconds for one try while the server starts: its address may not even exist yet
FIRST_DIAL_PAUSE = 0.05  # seconds between tries while it starts
START_PATIENCE = 60.0  # seconds that a caller is held at most

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Target:
    """One server's federation port, shared by every relay that leads there."""

    def __init__(self, address: tuple[str, int], there: Callable[[], bool] = lambda: True) -> None:
        """`there` tells whether somebody has the address already."""
        self.address, self._there = address, there
        self.reached = False  # it has accepted a connection at least once
        self._search: asyncio.Task[None] | None = None
        self._waiting = 0
        self._first: socket.socket | None = None  # the connection that the search made: for the first who waits

    async def dial(self, factory: Callable[[], P]) -> P:
        """Connect, and return the protocol that `factory` made. Raises OSError (TimeoutError is one) if that fails."""
        if not self.reached:
            await self._started()
        loop = asyncio.get_running_loop()
        first, self._first = self._first, None
        async with asyncio.timeout(DIAL_LIMIT):
            if first is not None:
                _, protocol = await loop.create_connection(factory, sock=first)
            else:
                _, protocol = await loop.create_connection(factory, *self.address)
        return protocol

    async def _started(self) -> None:
        """Return once the server has accepted a connection. One search serves all who wait."""
        if self._search is None:
            self._search = asyncio.create_task(self._look())
        self._waiting += 1
        try:
            async with asyncio.timeout(START_PATIENCE):
                await asyncio.shield(self._search)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._search.cancel()
                self._search = None

    async def _look(self) -> None:
        while not self.reached:
            self._first = await self._connected() if self._there() else None
            self.reached = self._first is not None
            if not self.reached:
                await asyncio.sleep(FIRST_DIAL_PAUSE)

    async def _connected(self) -> socket.socket | None:
        trial = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        trial.setblocking(False)
        try:
            async with asyncio.timeout(FIRST_DIAL_LIMIT):
                await asyncio.get_running_loop().sock_connect(trial, self.address)
        except OSError:  # refused, no such host yet, no answer in time
            trial.close()
            return None
        except asyncio.CancelledError:  # the last who waited has given up
            trial.close()
            raise
        return trial
