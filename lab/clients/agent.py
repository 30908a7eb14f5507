"""`python -m lab.clients.agent`: devices in a process of their own, asked by JSON Lines on standard input.

The protocol stands in lab/clients/protocol.py and docs/agents.md. Requests run at the same time; each is answered
once. Standard input at its end, SIGTERM or SIGINT: all devices disconnect, exit code 0. Standard error is for people
and never carries a request, since requests carry passwords. With `--address ADDRESS` all its connections come from that
address of this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from lab.clients.host import Host
from lab.errors import UserError, encode_answer
from lab.system.terminal import escape_unprintable

#: A request longer than this is not one: the largest stanza servers take is 10 MiB, escaped at most six-fold.
LONGEST_LINE = 64 * 1024 * 1024

#: Seconds that the other side has to read the last lines.
CLOSING = 5.0

_CHUNK = 256 * 1024
_STDIN, _STDOUT = 0, 1


class Output:
    """Writes lines to standard output: through the loop where it is a pipe, at once where it is a file."""

    def __init__(self, transport: asyncio.WriteTransport | None, closed: asyncio.Future[None] | None = None) -> None:
        self._transport, self._closed = transport, closed

    @classmethod
    async def opened(cls) -> Output:
        """Standard output as it is."""
        if not _is_pipe(_STDOUT):
            return cls(None)
        pipe = os.fdopen(_STDOUT, "wb", closefd=False)
        transport, ending = await asyncio.get_running_loop().connect_write_pipe(_Ending, pipe)
        return cls(transport, ending.closed)

    def write(self, message: dict[str, Any]) -> None:
        """One line; it is whole, and in order."""
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if self._transport is not None:
            self._transport.write(line)
        else:
            while line:
                line = line[os.write(_STDOUT, line) :]

    async def close(self) -> None:
        """Return once the other side has read all, or has closed its end."""
        if self._transport is not None and self._closed is not None:
            self._transport.close()
            await asyncio.wait([self._closed], timeout=CLOSING)


class _Ending(asyncio.BaseProtocol):
    """Its future is done when standard output is closed and all that was written was read."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


async def serve(output: Output) -> None:
    """Answer requests until standard input ends or a signal asks to stop."""
    host = Host(output.write)
    running: set[asyncio.Task[None]] = set()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    async def answer(request: dict[str, Any]) -> None:
        output.write(await host.handle(request))

    async def read() -> None:
        async for line in read_lines():
            request = parse_request(line)
            if "error" in request:
                output.write(request)
                continue
            task = asyncio.create_task(answer(request))
            running.add(task)
            task.add_done_callback(running.discard)

    reading, stopping = asyncio.create_task(read()), asyncio.create_task(stop.wait())
    await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
    reading.cancel()
    stopping.cancel()
    await host.close()
    for task in running:
        task.cancel()
    await asyncio.gather(reading, stopping, *running, return_exceptions=True)
    await output.close()


def parse_request(line: bytes) -> dict[str, Any]:
    """The request of a line, or the error answer to what is none; it quotes nothing, lines carry passwords."""
    try:
        request = json.loads(line)
    except ValueError as error:
        detail = error.msg if isinstance(error, json.JSONDecodeError) else "not UTF-8"
        return _unreadable(f"not a line of JSON: {detail}")
    if not isinstance(request, dict):
        return _unreadable("a request is a JSON object with id and op")
    if not isinstance(request.get("id"), int | str):
        return _unreadable("a request needs an id, a number or a text")
    request.pop("error", None)
    return request


def _unreadable(message: str) -> dict[str, Any]:
    return {"id": None, "error": encode_answer(UserError(message))}


async def read_lines() -> AsyncIterator[bytes]:
    """The lines of standard input, without blank ones; the last may lack its end."""
    rest = b""
    async for chunk in _chunks():
        *whole, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > LONGEST_LINE:
            yield b"{"  # answered as unreadable
            return
    if rest.strip():
        yield rest


async def _chunks() -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    if not _is_pipe(_STDIN):
        while chunk := await asyncio.to_thread(os.read, _STDIN, _CHUNK):
            yield chunk
        return
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(_STDIN, "rb", closefd=False))
    while chunk := await reader.read(_CHUNK):
        yield chunk


def _is_pipe(descriptor: int) -> bool:
    mode = os.fstat(descriptor).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


async def _main() -> None:
    await serve(await Output.opened())


class _PrintableFormatter(logging.Formatter):
    """Log records may quote what a server sent, and standard error is somebody's terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return escape_unprintable(super().format(record))


class _FromAddress:
    """Of an event loop: all connections come from `address`, whatever opens them."""

    address: ClassVar[str]

    async def create_connection(self, *given: Any, **options: Any) -> Any:
        """As that of the loop."""
        return await super().create_connection(*given, **options, local_addr=(self.address, 0))  # type: ignore[misc]


def build_loop(address: str | None) -> asyncio.AbstractEventLoop:
    """A new event loop, uvloop's where there is one; with `address` its connections come from there."""
    try:
        from uvloop import Loop
    except ImportError:
        from asyncio import SelectorEventLoop as Loop  # type: ignore[assignment]
    made: asyncio.AbstractEventLoop = (type("Loop", (_FromAddress, Loop), {"address": address}) if address else Loop)()
    return made


def main(words: Sequence[str]) -> None:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(prog="python -m lab.clients.agent")
    parser.add_argument("--address", help="where its connections come from, instead of what the kernel chooses")
    address = parser.parse_args(words).address
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PrintableFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    with asyncio.Runner(loop_factory=lambda: build_loop(address)) as runner:
        runner.run(_main())


if __name__ == "__main__":
    main(sys.argv[1:])
