"""What the conditions of one direction of a path do to bytes. Pure: the caller gives the time, the shaper says when
bytes arrive.

A shaper sends bytes at its rate, one after the other: all streams of one direction between two servers share it. Each
byte then travels for the latency, more or less by the jitter. The order within a stream is kept whatever the jitter
is, as in TCP: a byte that was fast waits for the slow one before it. So with dense traffic the median delay is
above the latency by up to about the jitter.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from lab.declarations.links import Conditions

PIECE_TIME = 0.01  # seconds that sending one piece takes at a limited rate: a reader then sees an even flow
SMALLEST_PIECE = 256  # bytes
QUEUE_TIME = 0.5  # seconds that bytes may wait to be sent at a limited rate, before the sender is paused
SMALLEST_QUEUE = 16 * 1024  # bytes: a few stanzas always fit
LARGEST_QUEUE = 4 * 1024 * 1024  # bytes per stream: 25,000 stanzas/s of 300 bytes at half a second of latency


class LinkShaper:
    """One direction between two servers. `conditions` may be changed while bytes flow."""

    def __init__(self, conditions: Conditions, seed: str = "") -> None:
        self.conditions = conditions
        self._free = 0.0  # when the last byte taken so far has been sent
        self._random = random.Random(seed)  # noqa: S311 - jitter, the same in every run

    @property
    def queue(self) -> int:
        """Bytes of one stream that may be under way before its sender is held back."""
        rate = self.conditions.rate
        if rate is None:
            return LARGEST_QUEUE
        fitting = int(rate * (self.conditions.latency + QUEUE_TIME))
        return min(max(fitting, SMALLEST_QUEUE), LARGEST_QUEUE)

    def pieces(self, data: bytes) -> Iterator[bytes | memoryview]:
        """The bytes in pieces that are sent one after the other: one piece unless the rate is limited."""
        rate = self.conditions.rate
        size = len(data) if rate is None else max(SMALLEST_PIECE, int(rate * PIECE_TIME))
        if len(data) <= size:
            yield data
            return
        view = memoryview(data)
        for begin in range(0, len(data), size):
            yield view[begin : begin + size]

    def arrival(self, now: float, size: int, after: float) -> float:
        """When `size` bytes that are sent at `now` have arrived, not before `after`. Seconds on the clock of `now`."""
        conditions = self.conditions
        sent = now
        if conditions.rate is not None:
            sent = self._free = max(now, self._free) + size / conditions.rate
        delay = conditions.latency
        if conditions.jitter:
            delay = max(0.0, self._random.gauss(delay, conditions.jitter))
        return max(sent + delay, after)
