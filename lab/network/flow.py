"""One way through one connection of a relay: takes bytes in, writes them when the shaper says so.

A neutral shaper costs nothing: bytes go straight from the read to the write. Otherwise they wait in a queue with
the time of their arrival. The queue is bounded: beyond `LinkShaper.queue` the source is not read from, so its own
TCP holds it back, as a real path does. How the source ended (its last byte, or a reset) travels in the queue
behind its bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from lab.network.link_shaper import LinkShaper

EARLY = 0.0005  # seconds: half the resolution of the loop's timers; what is due by then goes with the rest


class Ending(Enum):
    """How a source stopped sending."""

    FINISHED = "finished"  # FIN
    RESET = "reset"  # RST


@dataclass
class Count:
    """What one direction of a relay carried."""

    bytes: int = 0


class Flow:
    """Bytes from one transport to another. Both are set by `connect`; what comes before that waits.

    A transport that was told to pause in `connection_made` may still hand over its first read: uvloop begins to
    read after that call.
    """

    def __init__(self, shaper: LinkShaper, count: Count, on_end: Callable[[Ending], None]) -> None:
        self._shaper, self._count, self._on_end = shaper, count, on_end
        self._queue: deque[tuple[float, bytes | memoryview | Ending]] = deque()
        self._queued = 0  # bytes
        self._last = 0.0  # arrival of the last thing queued
        self._timer: asyncio.TimerHandle | None = None
        self._held_back = False  # the source is not read from
        self._full = True  # the sink takes no more for now; there is none yet
        self._connected = False
        self._ended: Ending | None = None  # of the source
        self._dropped = False  # the sink is gone

    def connect(self, source: asyncio.Transport, sink: asyncio.Transport) -> None:
        """Say where bytes come from and go to. The source is read from once this returns."""
        self._loop = asyncio.get_running_loop()
        self._source, self._sink, self._connected = source, sink, True
        source.resume_reading()
        self.unblock()

    @property
    def neutral(self) -> bool:
        """True if the shaper changes nothing."""
        return self._shaper.conditions.neutral

    def feed(self, data: bytes) -> None:
        """Take bytes from the source."""
        if self._dropped:
            return  # the source learns of it by the other way
        self._count.bytes += len(data)
        if not self._queue and not self._full and self._shaper.conditions.neutral:
            self._sink.write(data)
            return
        now = time.monotonic()
        for piece in self._shaper.pieces(data):
            self._last = self._shaper.arrival(now, len(piece), self._last)
            self._queue.append((self._last, piece))
        self._queued += len(data)
        if self._queued > self._shaper.queue and not self._held_back and self._connected:
            self._held_back = True
            self._source.pause_reading()
        self._schedule(now)

    def finish(self, ending: Ending) -> None:
        """The source sends nothing more; its sink learns that after all that was sent before."""
        if self._dropped or self._ended is Ending.RESET or ending is self._ended:
            return
        self._ended = ending
        now = time.monotonic()
        self._last = self._shaper.arrival(now, 0, self._last)
        self._queue.append((self._last, ending))
        self._schedule(now)

    def block(self) -> None:
        """The sink takes no more for now."""
        self._full = True
        if self._shaper.conditions.neutral and not self._held_back and not self._ended:
            self._held_back = True
            self._source.pause_reading()

    def unblock(self) -> None:
        """The sink takes bytes again."""
        self._full = False
        self._deliver()

    def drop(self) -> None:
        """Forget what is under way: nobody is there any more who could take it."""
        self._dropped = True
        self._queue.clear()
        self._queued = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, now: float) -> None:
        if self._timer is None and self._queue and not self._full:
            self._timer = self._loop.call_later(max(0.0, self._queue[0][0] - now), self._due)

    def _due(self) -> None:
        self._timer = None
        self._deliver()

    def _deliver(self) -> None:
        """Hand out all that has arrived."""
        now = time.monotonic()
        arrived: list[bytes | memoryview] = []
        ending: Ending | None = None
        while self._queue and self._queue[0][0] <= now + EARLY and not self._full:
            item = self._queue.popleft()[1]
            if isinstance(item, Ending):
                ending = item
            else:
                arrived.append(item)
        if arrived:
            self._queued -= sum(map(len, arrived))
            self._sink.write(arrived[0] if len(arrived) == 1 else b"".join(arrived))
        if ending is not None:
            self._on_end(ending)
            return
        if self._held_back and not self._full and self._queued <= self._shaper.queue // 2:
            self._held_back = False
            if not self._ended:
                self._source.resume_reading()
        self._schedule(now)
