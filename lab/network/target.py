"""The server that a relay leads to: it is dialled, and until it listens for the first time, relays wait for it.

Servers start at the same time and find each other before all of them listen. A caller that is refused then would wait
for its own retry, so a relay lets the caller wait instead. Once a server has been reached, that ends: if it refuses, or
does not answer within DIAL_LIMIT seconds, the caller sees the failure.

An address that no host has yet is not dialled: the kernel sends an ARP request at most once a second (RFC 1122 section
2.3.2.1), so a try that is too early delays the first connection for the rest of that second.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeVar

DIAL_LIMIT = 2.0  # seconds: far above the latency of any link in a lab, far below the timeout of any server (10-90 s)
FIRST_DIAL_LIMIT = 1.0  # seconds for one try while the server starts: its address may not even exist yet
FIRST_DIAL_PAUSE = 0.05  # seconds between tries while it starts
START_PATIENCE = 60.0  # seconds that a caller waits at most

P = TypeVar("P", bound=asyncio.BaseProtocol)


class Target:
    """One server's federation port, shared by every relay that leads there."""

    def __init__(self, address: tuple[str, int], exists: Callable[[], bool] = lambda: True) -> None:
        """`exists` says whether a host has the address already."""
        self.address, self._exists = address, exists
        self.reached = False  # it has accepted a connection at least once
        self._search: asyncio.Task[None] | None = None
        self._waiting = 0
        self._connection: socket.socket | None = None  # the connection that the search made: for the first caller

    async def dial(self, factory: Callable[[], P]) -> P:
        """Connect, and return the protocol that `factory` made. Raises OSError (TimeoutError is one) if that fails."""
        if not self.reached:
            await self._wait_started()
        loop = asyncio.get_running_loop()
        first, self._connection = self._connection, None
        async with asyncio.timeout(DIAL_LIMIT):
            if first is not None:
                _, protocol = await loop.create_connection(factory, sock=first)
            else:
                _, protocol = await loop.create_connection(factory, *self.address)
        return protocol

    async def _wait_started(self) -> None:
        """Return once the server has accepted a connection. One search serves all callers."""
        if self._search is None:
            self._search = asyncio.create_task(self._find())
        self._waiting += 1
        try:
            async with asyncio.timeout(START_PATIENCE):
                await asyncio.shield(self._search)
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._search.cancel()
                self._search = None

    async def _find(self) -> None:
        while not self.reached:
            self._connection = await self._try_connect() if self._exists() else None
            self.reached = self._connection is not None
            if not self.reached:
                await asyncio.sleep(FIRST_DIAL_PAUSE)

    async def _try_connect(self) -> socket.socket | None:
        attempt = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        attempt.setblocking(False)
        try:
            async with asyncio.timeout(FIRST_DIAL_LIMIT):
                await asyncio.get_running_loop().sock_connect(attempt, self.address)
        except OSError:  # refused, no such host yet, or no answer in time
            attempt.close()
            return None
        except asyncio.CancelledError:  # the last caller has given up
            attempt.close()
            raise
        return attempt
