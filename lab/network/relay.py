"""One direction of a link: a port that leads to a server, over a path with the link's conditions.

The SRV records that server `a` sees for `b` name this port, so every stream that `a` opens to `b` comes through
here. What `a` sends has the conditions of a to b; what `b` answers on the same connection (TLS, SASL, stream
management) has those of b to a: each is a `LinkShaper`, shared with the relay of the opposite direction. Setting
a connection up is not delayed, only bytes are.

A relay acts as the server behind it does: it holds callers while that starts (lab/network/target.py), resets
them if it cannot be reached, passes ends and resets on. A relay can be cut, see `Cut`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum, StrEnum
from typing import Any

from lab.network.link_shaper import LinkShaper
from lab.network.listener import Listener
from lab.network.target import Target
from lab.plan.model import RelayPlan

log = logging.getLogger(__name__)

RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends RST (socket(7))
EARLY = 0.0005  # seconds: half the resolution of the loop's timers; what is due by then goes with the rest


class Cut(StrEnum):
    """How a relay that is cut treats connections. Open ones are reset, or stay open while no byte passes."""

    BLACKHOLE = "blackhole"  # no byte passes, new connections are not answered
    SILENT = "silent"  # no byte passes, new connections are accepted
    RESET = "reset"  # open connections are reset, and so is each new one once it is accepted
    REFUSE = "refuse"  # open connections are reset, new ones are refused

    @property
    def stops_bytes(self) -> bool:
        """Whether open connections stay, and bytes wait until the cut ends."""
        return self in (Cut.BLACKHOLE, Cut.SILENT)


class Relay:
    """Carries the connections of one direction of a link, and counts what it carries."""

    def __init__(self, plan: RelayPlan, address: str, target: Target, out: LinkShaper, back: LinkShaper) -> None:
        self.plan, self.target, self.out, self.back = plan, target, out, back
        self.connections = 0  # accepted so far
        self.failures = 0  # accepted, but the target could not be reached
        self.sent, self.answered = Count(), Count()
        self.open: set[RelayedConnection] = set()
        self.cut_by: Cut | None = None
        purpose = f"the relay from {plan.source} to {plan.target}"
        self.listener = Listener(address, plan.port, lambda: RelayedConnection(self).near, purpose)

    async def listen(self) -> None:
        """Take connections. Raises MissingError if the port cannot be had."""
        await self.listener.listen()

    async def cut(self, how: Cut | None) -> None:
        """Cut it in that way; None ends the cut: connections are accepted, and bytes that waited travel on."""
        if how is self.cut_by:
            return
        before, self.cut_by = self.cut_by, how
        if how is None or how is Cut.SILENT or how is Cut.RESET:
            if before in (Cut.BLACKHOLE, Cut.REFUSE):
                await self.listener.listen()
        elif how is Cut.REFUSE:
            self.listener.close()
        else:
            self.listener.ignore()
        if how is not None and not how.stops_bytes:
            self.reset_all()
        for connection in tuple(self.open):
            connection.stop(how is not None and how.stops_bytes)

    def reset_all(self) -> None:
        """Reset every open connection at both ends."""
        for connection in tuple(self.open):
            connection.reset()

    def close(self) -> None:
        """Take no more connections and reset those that are open."""
        self.listener.close()
        self.reset_all()

    def state(self) -> dict[str, Any]:
        """What `status` tells of it; bytes and seconds."""
        return {
            "source": self.plan.source,
            "target": self.plan.target,
            "port": self.plan.port,
            "connections": self.connections,
            "open": len(self.open),
            "failures": self.failures,
            "bytes": self.sent.bytes,
            "answer_bytes": self.answered.bytes,
            **asdict(self.out.conditions),
            "cut": self.cut_by,
        }


class RelayedConnection:
    """A caller (near), the server it reached (far), and the two flows between them."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._out = Flow(relay.out, relay.sent, lambda ending: self._arrived(ending, self.far))
        self._back = Flow(relay.back, relay.answered, lambda ending: self._arrived(ending, self.near))
        self.near = End(self, gives=self._out, takes=self._back)
        self.far = End(self, gives=self._back, takes=self._out)
        self._ways = 2  # directions that have not ended yet
        self._dialling: asyncio.Task[None] | None = None

    def made(self, end: End) -> None:
        """An end has its transport: dial for the caller; once both are there, let bytes flow."""
        end.transport.pause_reading()
        if end is self.near:
            self._relay.connections += 1
            if self._relay.cut_by is Cut.RESET:
                end.reset()
                return
            self._relay.open.add(self)
            self.stop(self._relay.cut_by is not None and self._relay.cut_by.stops_bytes)
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
        elif self.near.alive:
            self._out.connect(self.near.transport, self.far.transport)
            self._back.connect(self.far.transport, self.near.transport)
        else:
            self.far.reset()

    async def _dial(self) -> None:
        plan = self._relay.plan
        try:
            await self._relay.target.dial(lambda: self.far)
        except OSError as error:
            self._relay.failures += 1
            log.info("%s to %s: not reached: %s", plan.source, plan.target, error or "no answer in time")
            self.near.reset()

    def lost(self, end: End, error: Exception | None) -> None:
        """An end is gone: reset by its peer, which travels on behind what was sent, or (no error) closed by us."""
        end.takes.drop()
        other = self.far if end is self.near else self.near
        if error is not None and other.alive:
            end.gives.finish(Ending.RESET)
        if not other.alive:
            self._relay.open.discard(self)
            if self._dialling is not None:
                self._dialling.cancel()

    def stop(self, stopped: bool) -> None:
        """Let no byte pass, or let them pass again."""
        self._out.stop(stopped)
        self._back.stop(stopped)

    def reset(self) -> None:
        """End at once: both sides get a reset, what is under way is lost."""
        self._out.drop()
        self._back.drop()
        self.near.reset()
        self.far.reset()

    def _arrived(self, ending: Ending, sink: End) -> None:
        """The end of one way has reached its sink."""
        if ending is Ending.RESET:
            self.reset()
            return
        sink.finish()
        self._ways -= 1
        if not self._ways:
            self.near.close()
            self.far.close()


class End(asyncio.Protocol):
    """One side of a connection: what it sends goes into one flow, what comes out of the other is written to it."""

    transport: Any  # asyncio.Transport once `alive` has been true

    def __init__(self, connection: RelayedConnection, *, gives: Flow, takes: Flow) -> None:
        self._connection, self.gives, self.takes = connection, gives, takes
        self.alive = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is there."""
        self.transport, self.alive = transport, True
        self._connection.made(self)

    def data_received(self, data: bytes) -> None:
        """The peer sent bytes."""
        if not self.gives.neutral:
            self._acknowledge()
        self.gives.feed(data)

    def eof_received(self) -> bool:
        """The peer sends nothing more; it may still be sent to."""
        self.gives.finish(Ending.FINISHED)
        return True

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        self.takes.block()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self.takes.unblock()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone: closed by us (no error) or reset."""
        self.alive = False
        self._connection.lost(self, exc)

    def _acknowledge(self) -> None:
        """Let the kernel acknowledge at once. The setting lasts for one read only (tcp(7)).

        Where answers take a while, nothing carries the acknowledgement and the kernel waits 40 ms with it; a sender
        with Nagle's algorithm on, as servers have, holds its next stanza back until then: a delay nobody asked for.
        """
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def finish(self) -> None:
        """Send nothing more (FIN)."""
        if self.alive:
            self.transport.write_eof()

    def close(self) -> None:
        """Close in order: what was written still goes out."""
        if self.alive:
            self.transport.close()

    def reset(self) -> None:
        """Close with RST."""
        if self.alive:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()


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
        self._stopped = False  # nothing is handed out

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
        if not self._queue and not self._full and not self._stopped and self._shaper.conditions.neutral:
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

    def stop(self, stopped: bool) -> None:
        """Hand nothing out, or all that has arrived meanwhile and what follows."""
        if stopped is self._stopped:
            return
        self._stopped = stopped
        if not stopped and self._connected and not self._dropped:
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
        if self._timer is None and self._queue and not self._full and not self._stopped:
            self._timer = self._loop.call_later(max(0.0, self._queue[0][0] - now), self._due)

    def _due(self) -> None:
        self._timer = None
        self._deliver()

    def _deliver(self) -> None:
        """Hand out all that has arrived."""
        if self._stopped:
            return
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
