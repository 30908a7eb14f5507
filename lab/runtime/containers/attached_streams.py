"""Standard input and output of a container as an asyncio reader and writer.

The engine's SDK gives a socket after an HTTP upgrade; its multiplexed stream is split as it is read (`Frames`),
so that the reader's flow control reaches the container. When the connection ends, however it ends, the container's
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
    """The engine's multiplexed stream: what an attached container without a terminal writes, split by stream.

    Each frame is a header of 8 bytes (stream: 1 output, 2 error; three zeros; length as a big-endian 32-bit number) and
    its payload, as the Engine API documents it for "attach to a container". A large frame is given in pieces.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._stream = 0
        self._left = 0  # bytes of the current frame that are not received yet

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
    """Feeds the reader with standard output alone; standard error goes to `on_error`."""

    def __init__(self, reader: asyncio.StreamReader, on_error: Callable[[bytes], None]) -> None:
        super().__init__(reader)
        self._frames = Frames()
        self._trouble = on_error

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
    connection = take_socket(client.api.attach_socket(container, params=parameters))
    connection.setblocking(False)
    return connection


def take_socket(wrapped: Any) -> socket.socket:
    """A blocking socket of our own for the connection that the SDK gives; the SDK's objects are closed."""
    try:
        connection = socket.socket(fileno=os.dup(wrapped.fileno()))
    finally:
        wrapped._response.close()  # the SDK keeps the HTTP response there, which keeps the connection open
        wrapped.close()
    connection.settimeout(None)
    return connection


async def open_streams(
    connection: socket.socket, on_error: Callable[[bytes], None]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Reader of the container's standard output and writer of its standard input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LIMIT, loop=loop)
    protocol = _Demultiplexer(reader, on_error)
    if connection.family == socket.AF_UNIX:
        transport, _ = await loop.create_unix_connection(lambda: protocol, sock=connection)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
    other, _ = await loop.create_connection(lambda: protocol, sock=connection)
    return reader, asyncio.StreamWriter(other, protocol, reader, loop)
