"""The least that can forward a TCP connection, as a process of its own: what relays are measured beside."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import uvloop

Address = tuple[str, int]
Setup = Callable[[], Awaitable[Any]]


class Bare(asyncio.Protocol):
    """One side of a connection; what it reads is written to its partner as it is."""

    def __init__(self, target: Address, partner: Bare | None = None) -> None:
        self.target, self.partner, self.early = target, partner, [b""]

    def connection_made(self, transport: Any) -> None:
        """Dial for the caller."""
        self.transport = transport
        if self.partner is None:
            self.dialling = asyncio.ensure_future(self._dial())
        else:
            self.partner.partner = self
            transport.write(b"".join(self.partner.early))

    async def _dial(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: Bare(self.target, self), *self.target)

    def data_received(self, data: bytes) -> None:
        """Hand on."""
        if self.partner is None:
            self.early.append(data)
        else:
            self.partner.transport.write(data)

    def pause_writing(self) -> None:
        """Hold the other side back."""
        assert self.partner is not None
        self.partner.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let it go on."""
        assert self.partner is not None
        self.partner.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other side."""
        if self.partner is not None:
            self.partner.transport.close()


def bare(*paths: tuple[Address, Address]) -> Setup:
    """Forwards from each first address to the second."""

    async def listen() -> object:
        loop = asyncio.get_running_loop()
        return [await loop.create_server(lambda to=to: Bare(to), *at) for at, to in paths]  # type: ignore[misc]

    return listen


class Forwarder:
    """A forwarder that runs as a process, from its creation to `end`; it ends with its parent, too."""

    def __init__(self, setup: Setup) -> None:
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            ours.close()
            _run(setup, theirs)
        theirs.close()
        self._pipe = ours
        if not ours.recv(1):
            raise SystemExit("the forwarder could not listen")

    def end(self) -> float:
        """CPU seconds that it used."""
        self._pipe.send(b"0")  # closing is not enough: a forwarder that was started later has the pipe, too
        self._pipe.close()
        usage = os.wait4(self.pid, 0)[2]
        return usage.ru_utime + usage.ru_stime


def _run(setup: Setup, pipe: socket.socket) -> None:
    """The process: until the pipe closes."""

    async def run() -> None:
        kept = await setup()
        pipe.send(b"1")
        end = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe, end.set)
        await end.wait()
        del kept

    with suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    os._exit(0)
