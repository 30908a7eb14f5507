"""A server that is too slow: all that is written to the one behind it waits in one line, and goes on at a rate."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

GRAIN = 0.01  # seconds between two looks at what may go on


class SlowQueue:
    """Whatever clients write goes on in its order, `rate` bytes a second; what the server writes comes at once."""

    def __init__(self, rate: float, host: str, port: int) -> None:
        self.rate, self._to = rate, (host, port)
        self.port = 0
        self.waiting = 0  # bytes
        self._line: asyncio.Queue[tuple[asyncio.StreamWriter, bytes]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._ends: list[asyncio.StreamWriter] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        behind, onwards = await asyncio.open_connection(*self._to)
        back = asyncio.create_task(_pass(behind, writer))
        self._ends += [writer, onwards]
        self._tasks += [back, asyncio.current_task()]
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                self.waiting += len(data)
                self._line.put_nowait((onwards, data))
        self._line.put_nowait((onwards, b""))

    async def serve_line(self) -> None:
        """Hand on, for good."""
        allowed = 0.0
        while True:
            writer, data = await self._line.get()
            while allowed < len(data):
                await asyncio.sleep(GRAIN)
                allowed += GRAIN * self.rate
            allowed -= len(data)
            if self._line.empty():
                allowed = 0.0  # what was not used is lost
            self.waiting -= len(data)
            writer.write(data) if data else writer.close()

    async def close(self) -> None:
        """Return once nobody is served."""
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.close()


@contextlib.asynccontextmanager
async def slow_queue(rate: float, host: str, port: int) -> AsyncIterator[SlowQueue]:
    """One that listens, in this process, for the length of the block."""
    queue = SlowQueue(rate, host, port)
    server = await asyncio.start_server(queue.take, "127.0.0.1", 0)
    queue.port = server.sockets[0].getsockname()[1]
    line = asyncio.create_task(queue.serve_line())
    try:
        yield queue
    finally:
        server.close()
        line.cancel()
        await queue.close()
