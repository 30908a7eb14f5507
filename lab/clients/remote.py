"""The caller's side of an agent: call a device, await the answer, receive its events.

    agent = Agent(reader, writer, close=pipes.close)     # or Agent.inline()
    agent.on_event = handle_event
    await agent.call("connect", "alice/laptop", jid="alice@a.lab.test", ...)

A call raises the error that the agent answered with (`lab.errors.decode_error`). When an agent ends, every waiting call
fails at once.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from lab.clients.host import TIMEOUT, Host
from lab.errors import PeerError, TimedOut, decode_error

Json = dict[str, Any]

#: Seconds beyond a request's own limit until the agent itself counts as stuck.
GRACE = 5.0

_CHUNK = 256 * 1024


class Agent:
    """One agent, as its caller has it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        close: Callable[[], Awaitable[None]] | None = None,
        on_event: Callable[[Json], None] | None = None,
    ) -> None:
        """`close` ends the process, after its standard input was closed."""
        self._setup(on_event)
        self._devices: _PipedDevices | _InlineDevices = _PipedDevices(self, reader, writer, close)

    @classmethod
    def inline(cls, *, on_event: Callable[[Json], None] | None = None) -> Agent:
        """An agent whose devices are in this process, for a debugger."""
        agent = cls.__new__(cls)
        agent._setup(on_event)
        agent._devices = _InlineDevices(agent)
        return agent

    def _setup(self, on_event: Callable[[Json], None] | None) -> None:
        self.on_event: Callable[[Json], None] | None = on_event
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Json]] = {}
        self._gone: str | None = None
        self._end = asyncio.Event()

    async def call(self, op: str, device: str | None = None, /, **fields: Any) -> Json:
        """Ask and await the answer. Raises UserError, MissingError, TimedOut, PeerError; see the head of this file."""
        if self._gone is not None:
            raise PeerError(self._gone)
        number = next(self._numbers)
        request: Json = {"id": number, "op": op, **fields}
        if device is not None:
            request["device"] = device
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._pending[number] = answer
        limit = float(fields.get("timeout") or TIMEOUT) + GRACE
        try:
            await self._devices.request(request)
            async with asyncio.timeout(limit):
                result = await answer
        except TimeoutError:
            raise TimedOut(f"the agent did not answer {op!r} of device {device!r} within {limit:g} s") from None
        finally:
            del self._pending[number]
        if (error := result.get("error")) is not None:
            raise decode_error(error)
        ok: Json = result["ok"]
        return ok

    @property
    def gone(self) -> str | None:
        """Why there are no answers any more; None while there are."""
        return self._gone

    async def until_gone(self) -> str:
        """Wait until there are no answers any more; returns the reason."""
        await self._end.wait()
        assert self._gone is not None
        return self._gone

    async def close(self) -> None:
        """Disconnect all devices and end the agent; returns once it is gone."""
        await self._devices.close()
        self.ended("the agent was closed")

    def receive(self, message: Json) -> None:
        """Called with each line of the agent: an answer or an event."""
        if "event" in message:
            if self.on_event is not None:
                self.on_event(message)
            return
        waiting = self._pending.get(message.get("id"))  # type: ignore[arg-type]
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
        elif message.get("id") is None:
            self.trouble(f"the agent could not read a request: {message.get('error')}")

    def trouble(self, message: str) -> None:
        """Emit an error that no call waits for, as an event of no device."""
        if self.on_event is not None:
            self.on_event({"event": "trouble", "device": None, "at": time.time(), "message": message})

    def ended(self, reason: str) -> None:
        """Fail the calls that wait: no answer will follow."""
        if self._gone is None:
            self._gone = reason
            self._end.set()
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(PeerError(reason))


class _PipedDevices:
    """Devices of another process, behind a pair of streams."""

    def __init__(
        self,
        agent: Agent,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        close: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._agent, self._reader, self._writer = agent, reader, writer
        self._close = close
        self._reading = asyncio.create_task(self._read())

    async def request(self, request: Json) -> None:
        self._writer.write(json.dumps(request).encode() + b"\n")
        with suppress(ConnectionError):  # the reading side reports why, with evidence
            await self._writer.drain()

    async def close(self) -> None:
        with suppress(ConnectionError, RuntimeError):
            self._writer.close()
        try:
            await asyncio.wait_for(asyncio.shield(self._reading), GRACE * 2)
        except TimeoutError:
            self._reading.cancel()
            with suppress(asyncio.CancelledError):
                await self._reading
        if self._close is not None:
            await self._close()

    async def _read(self) -> None:
        """Read lines of any length: the reader's own limit is for lines that people type."""
        rest, reason = b"", "its output ended"
        try:
            while chunk := await self._reader.read(_CHUNK):
                *whole, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
                for line in whole:
                    self._receive(line)
        except OSError as error:
            reason = str(error)
        finally:
            self._agent.ended(f"the agent has ended: {reason}")

    def _receive(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if isinstance(message, dict):
            self._agent.receive(message)
        else:
            self._agent.trouble(f"the agent wrote a line that is not of the protocol: {line[:200]!r}")


class _InlineDevices:
    """Devices in this process."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._host = Host(agent.receive)
        self._running: set[asyncio.Task[None]] = set()

    async def request(self, request: Json) -> None:
        task = asyncio.create_task(self._answer(request))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _answer(self, request: Json) -> None:
        self._agent.receive(await self._host.handle(request))

    async def close(self) -> None:
        await self._host.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
