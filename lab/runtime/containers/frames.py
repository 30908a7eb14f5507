"""The engine's multiplexed stream: what an attached container without a terminal writes, taken apart.

Each frame is a header of 8 bytes (stream: 1 output, 2 error; three zeros; length as a big-endian 32-bit
number) and its payload. Pure; the source is the Engine API's documentation of "attach to a container".
"""

from __future__ import annotations

from collections.abc import Iterator

OUTPUT = 1
ERROR = 2
_HEADER = 8


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
