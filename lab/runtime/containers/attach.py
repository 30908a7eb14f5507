"""Standard input and output of a container as an asyncio reader and writer.

The engine's SDK gives a socket after an HTTP upgrade; what comes from it is taken apart in place (frames.py), so
that the reader's flow control reaches the container. When the connection ends, however it ends, the container's
standard input ends too (StdinOnce), and an agent ends with it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker import DockerClient

OUTPUT = 1
ERROR = 2
_HEADER = 8
_LIMIT = 1 << 24  # bytes of one line: a stanza may be large


class Frames:
    """Takes bytes as they come, gives (stream, payload) as soon as there is any; large frames come in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._stream = 0
        self._left = 0  # bytes of the current frame that are still to come

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The payloads that these bytes complete or continue. Raises ValueError if this is no such stream."""
        self._buffer += data
        while self._buffer:
            if not self._left:
                if len(self._buffer) < _HEADER:
                    return
                self._begin()
                continue
            payload = bytes(self._buffer[: self._left])
            del self._buffer[: len(payload)]
            self._left -= len(payload)
            yield self._stream, payload

    def _begin(self) -> None:
        stream, padding = self._buffer[0], self._buffer[1:4]
        if stream > ERROR or any(padding):
            raise ValueError(f"not the engine's multiplexed stream: it begins with {bytes(self._buffer[:_HEADER])!r}")
        self._stream = stream
        self._left = int.from_bytes(self._buffer[4:_HEADER], "big")
        del self._buffer[:_HEADER]


class _Demultiplexer(asyncio.StreamReaderProtocol):
    """Feeds the reader with standard output alone; standard error goes to `trouble`."""

    def __init__(self, reader: asyncio.StreamReader, trouble: Callable[[bytes], None]) -> None:
        super().__init__(reader)
        self._frames = Frames()
        self._trouble = trouble

    def data_received(self, data: bytes) -> None:
        """Called by the transport."""
        for stream, payload in self._frames.feed(data):
            if stream == OUTPUT:
                super().data_received(payload)
            else:
                self._trouble(payload)


def attach(client: DockerClient, container: str) -> socket.socket:
    """A connected socket of the created container's input, output and error. Blocks; call it before the start."""
    parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    connection = own_socket(client.api.attach_socket(container, params=parameters))
    connection.setblocking(False)
    return connection


def own_socket(wrapped: Any) -> socket.socket:
    """A blocking socket of our own from what the SDK gives; it alone holds the connection then."""
    try:
        connection = socket.socket(fileno=os.dup(wrapped.fileno()))
    finally:
        wrapped._response.close()  # the SDK keeps the HTTP response alive there, and that the connection
        wrapped.close()
    connection.settimeout(None)
    return connection


async def streams(
    connection: socket.socket, trouble: Callable[[bytes], None]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Reader of the container's standard output and writer of its standard input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LIMIT, loop=loop)
    protocol = _Demultiplexer(reader, trouble)
    if connection.family == socket.AF_UNIX:
        transport, _ = await loop.create_unix_connection(lambda: protocol, sock=connection)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
    other, _ = await loop.create_connection(lambda: protocol, sock=connection)
    return reader, asyncio.StreamWriter(other, protocol, reader, loop)
