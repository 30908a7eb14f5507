"""One direction of a link: a port that leads to a server, over a path with the link's conditions.

The SRV records that server `a` sees for `b` name this port, so every stream that `a` opens to `b` is relayed
here. What `a` sends gets the conditions of a to b; what `b` answers on the same connection (TLS, SASL, stream
management) gets those of b to a: each is a `LinkShaper`, shared with the relay of the opposite direction. Opening a
connection is not delayed, only bytes are.

A relay behaves as the server behind it: it lets callers wait while the server starts (lab/network/target.py), resets
them if the server cannot be reached, and forwards the end (FIN) and the reset of a connection. How it is cut: `Cut`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from enum import Enum, StrEnum
from typing import Any

from lab.network.link_shaper import LinkShaper
from lab.network.listener import Listener
from lab.network.target import Target
from lab.plan.model import RelayPlan

log = logging.getLogger(__name__)

RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends RST (socket(7))
EARLY = 0.0005  # seconds: half the resolution of the loop's timers; what is due within it is written together


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
        self.sent, self.answered = ByteCount(), ByteCount()
        self.open: set[RelayedConnection] = set()
        self.connect: Callable[[Relay], RelayedConnection] = RelayedConnection  # what carries a new connection
        self.cut_by: Cut | None = None
        purpose = f"the relay from {plan.source} to {plan.target}"
        self.listener = Listener(address, plan.port, lambda: self.connect(self).near, purpose)

    async def listen(self) -> None:
        """Accept connections. Raises MissingError if the relay cannot listen on its port."""
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
        self.end_all(reset=True)

    def end_all(self, *, reset: bool) -> None:
        """End every open connection at both ends: with a reset, or in order, after what has been written (FIN)."""
        for connection in tuple(self.open):
            if reset:
                connection.reset()
            else:
                connection.close()

    def close(self) -> None:
        """Accept no more connections and reset those that are open."""
        self.listener.close()
        self.reset_all()

    def describe(self) -> dict[str, Any]:
        """What `status` shows of it; in bytes and seconds."""
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
    """A caller (near), the server it reached (far), and the two flows between them, which carry bytes as they are."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._out = Flow(relay.out, relay.sent, lambda ending: self._ended(ending, self.far))
        self._back = Flow(relay.back, relay.answered, lambda ending: self._ended(ending, self.near))
        self.near = Side(self, sends_into=self._out, writes_from=self._back)
        self.far = Side(self, sends_into=self._back, writes_from=self._out)
        self._open_directions = 2  # directions that have not ended yet
        self._tasks: set[asyncio.Task[None]] = set()  # end with the connection

    def connected(self, side: Side) -> None:
        """A side has its transport: dial the server for the caller; once both are connected, transfer bytes."""
        side.transport.pause_reading()
        if side is self.near:
            self._relay.connections += 1
            if self._relay.cut_by is Cut.RESET:
                side.reset()
                return
            self._relay.open.add(self)
            self.stop(self._relay.cut_by is not None and self._relay.cut_by.stops_bytes)
            self._start(self._dial())
        elif self.near.alive:
            self._carry()
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

    def _carry(self) -> None:
        """Both sides can be read from and written to."""
        self._out.connect(self.near.transport, self.far.transport)
        self._back.connect(self.far.transport, self.near.transport)

    def lost(self, side: Side, error: Exception | None) -> None:
        """A side is closed, by us or by its peer: the other one is ended, too, after what was sent before."""
        side.writes_from.discard()
        if self.other(side).alive:
            side.sends_into.finish(StreamEnd.FINISHED if error is None else StreamEnd.RESET)
            return
        self._relay.open.discard(self)
        for task in self._tasks:
            task.cancel()

    def other(self, side: Side) -> Side:
        """The side across."""
        return self.far if side is self.near else self.near

    def stop(self, stopped: bool) -> None:
        """Let no byte pass, or let them pass again."""
        self._out.stop(stopped)
        self._back.stop(stopped)

    def finish(self) -> None:
        """Tell both sides that nothing more follows; it is over once both have answered with their own end."""
        self.near.finish()
        self.far.finish()

    def reset(self) -> None:
        """End at once: both sides get a reset, bytes in transit are lost."""
        self._out.discard()
        self._back.discard()
        self.near.reset()
        self.far.reset()

    def close(self) -> None:
        """End in order: both sides get the end of the connection; bytes in transit are lost."""
        self._out.discard()
        self._back.discard()
        self.near.close()
        self.far.close()

    def _ended(self, ending: StreamEnd, sink: Side) -> None:
        """The end of one direction has reached its sink."""
        if ending is StreamEnd.RESET:
            self.reset()
            return
        sink.finish()
        self._open_directions -= 1
        if not self._open_directions:
            self.near.close()
            self.far.close()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Side(asyncio.Protocol):
    """One side of a relayed connection: it sends into one flow, and the other flow is written to it."""

    transport: Any  # asyncio.Transport once `alive` has been true

    def __init__(self, connection: RelayedConnection, *, sends_into: Flow, writes_from: Flow) -> None:
        self._connection, self.sends_into, self.writes_from = connection, sends_into, writes_from
        self.alive = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport is connected."""
        self.transport, self.alive = transport, True
        self._connection.connected(self)

    def data_received(self, data: bytes) -> None:
        """The peer sent bytes."""
        if not self.sends_into.neutral:
            self.acknowledge()
        self.sends_into.receive(data)

    def eof_received(self) -> bool:
        """The peer sends nothing more (FIN); it may still receive."""
        self.sends_into.finish(StreamEnd.FINISHED)
        return True

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        self.writes_from.pause_sink()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self.writes_from.resume_sink()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is closed: by us (no error), or reset by the peer."""
        self.alive = False
        self._connection.lost(self, exc)

    def acknowledge(self) -> None:
        """Let the kernel acknowledge at once. The setting is valid for one read only (tcp(7)).

        Where an answer is delayed, no data carries the acknowledgement, and the kernel waits 40 ms before it sends one.
        A sender with Nagle's algorithm, as servers have, sends its next stanza only then: a delay that no link has.
        """
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def finish(self) -> None:
        """Send nothing more (FIN)."""
        if self.alive:
            self.transport.write_eof()

    def close(self) -> None:
        """Close in order: what was written is still sent."""
        if self.alive:
            self.transport.close()

    def reset(self) -> None:
        """Close with RST."""
        if self.alive:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()


class StreamEnd(Enum):
    """How a source ended its stream of bytes."""

    FINISHED = "finished"  # FIN
    RESET = "reset"  # RST


#: Is given a flow and what it received.
Tap = Callable[["Flow", bytes], None]


@dataclass
class ByteCount:
    """Bytes that one direction of a relay carried."""

    bytes: int = 0
    tap: Tap | None = None  # is given what each flow receives, while somebody watches


class Flow:
    """One direction of one relayed connection: bytes from a source to a sink, written when the shaper says so.

    Under neutral conditions bytes are written as soon as they are read. Otherwise they wait in a queue with the time of
    their arrival. The queue is bounded: beyond `LinkShaper.queue` bytes the source is not read from, so that its own
    TCP pauses it, as on a real path. The end of the source (FIN or reset) is queued behind its bytes.

    Source and sink are set by `connect`; bytes received before that wait. A transport that was paused in
    `connection_made` may still deliver its first read: uvloop begins to read after that call.
    """

    def __init__(self, shaper: LinkShaper, count: ByteCount, on_end: Callable[[StreamEnd], None]) -> None:
        self._shaper, self._count, self._on_end = shaper, count, on_end
        self._queue: deque[tuple[float, bytes | memoryview | StreamEnd]] = deque()
        self._queued = 0  # bytes
        self._last = 0.0  # arrival of the last item in the queue
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False  # the source is not read from
        self._sink_full = True  # the sink cannot be written to for now; there is none yet
        self._connected = False
        self._ended: StreamEnd | None = None  # of the source
        self._discarded = False  # the sink is closed
        self._stopped = False  # nothing is written
        self._empty = asyncio.Event()  # nothing waits
        self._empty.set()

    def connect(self, source: asyncio.Transport, sink: asyncio.Transport) -> None:
        """Set source and sink. The source is read from once this returns."""
        self._loop = asyncio.get_running_loop()
        self._source, self._sink, self._connected = source, sink, True
        source.resume_reading()
        self.resume_sink()

    @property
    def neutral(self) -> bool:
        """True if the shaper changes nothing."""
        return self._shaper.conditions.neutral

    def receive(self, data: bytes) -> None:
        """Bytes from the source: write or queue them."""
        if self._discarded:
            return  # the other direction ends the source
        self._count.bytes += len(data)
        if self._count.tap is not None:
            self._count.tap(self, data)
        if not self._queue and not self._sink_full and not self._stopped and self._shaper.conditions.neutral:
            self._sink.write(data)
            return
        now = time.monotonic()
        for piece in self._shaper.pieces(data):
            self._last = self._shaper.arrival(now, len(piece), self._last)
            self._queue.append((self._last, piece))
        self._empty.clear()
        self._queued += len(data)
        if self._queued > self._shaper.queue and not self._paused and self._connected:
            self._paused = True
            self._source.pause_reading()
        self._schedule(now)

    def finish(self, ending: StreamEnd) -> None:
        """The source sends nothing more; the sink is ended after all bytes sent before."""
        if self._discarded or self._ended is StreamEnd.RESET or ending is self._ended:
            return
        self._ended = ending
        now = time.monotonic()
        self._last = self._shaper.arrival(now, 0, self._last)
        self._queue.append((self._last, ending))
        self._schedule(now)

    def pause_sink(self) -> None:
        """The sink cannot be written to for now."""
        self._sink_full = True
        if self._shaper.conditions.neutral and not self._paused and not self._ended:
            self._paused = True
            self._source.pause_reading()

    def resume_sink(self) -> None:
        """The sink can be written to again."""
        self._sink_full = False
        self._write_arrived()

    def stop(self, stopped: bool) -> None:
        """Write nothing, or write all that has arrived meanwhile and what follows."""
        if stopped is self._stopped:
            return
        self._stopped = stopped
        if not stopped and self._connected and not self._discarded:
            self._write_arrived()

    async def drain(self) -> None:
        """Return once all that was received has been written, or discarded."""
        await self._empty.wait()

    def discard(self) -> None:
        """Discard all bytes in transit: the sink is closed."""
        self._discarded = True
        self._queue.clear()
        self._empty.set()
        self._queued = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, now: float) -> None:
        if self._timer is None and self._queue and not self._sink_full and not self._stopped:
            self._timer = self._loop.call_later(max(0.0, self._queue[0][0] - now), self._due)

    def _due(self) -> None:
        self._timer = None
        self._write_arrived()

    def _write_arrived(self) -> None:
        """Write all bytes whose time of arrival has come, then the end, if it has arrived."""
        if self._stopped:
            return
        now = time.monotonic()
        arrived: list[bytes | memoryview] = []
        ending: StreamEnd | None = None
        while self._queue and self._queue[0][0] <= now + EARLY and not self._sink_full:
            item = self._queue.popleft()[1]
            if isinstance(item, StreamEnd):
                ending = item
            else:
                arrived.append(item)
        if arrived:
            self._queued -= sum(map(len, arrived))
            self._sink.write(arrived[0] if len(arrived) == 1 else b"".join(arrived))
        if not self._queue:
            self._empty.set()
        if ending is not None:
            self._on_end(ending)
            return
        if self._paused and not self._sink_full and self._queued <= self._shaper.queue // 2:
            self._paused = False
            if not self._ended:
                self._source.resume_reading()
        self._schedule(now)
