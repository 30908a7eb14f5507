"""The control protocol of a lab's service: JSON Lines over the unix socket control.sock (0600).

A request is one line, `{"id": 1, "op": "status", ...}`; its answer is one line, `{"id": 1, "ok": {...}}` or
`{"id": 1, "error": {"kind": "usage|missing|timeout|peer|internal", "message": "..."}}`. Requests of one connection
are executed in their order. docs/network.md lists the operations; lab/network/operations.py has them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any

from lab.errors import LabError, PeerError, TimedOut, UserError, decode_error, encode_answer
from lab.system.sockets import socket_address

log = logging.getLogger(__name__)

LONGEST_LINE = 64 * 1024 * 1024  # bytes: the DNS log of a large lab in one answer has about 3 MB
PATIENCE = 10.0  # seconds for an answer; stopping a server takes up to 3

#: The connection that the running handler answers, to hold what ends with it.
connection: ContextVar[object] = ContextVar("xmpplab_control_connection")

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class ControlServer:
    """Answers requests with the handlers of a service."""

    def __init__(
        self, path: Path, handlers: Mapping[str, Handler], on_close: Callable[[object], Awaitable[object]] | None = None
    ) -> None:
        """`on_close` is called with each connection that a client has closed, however it ended."""
        self._path, self._handlers, self._on_close = path, handlers, on_close
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self) -> None:
        """Accept requests. A socket that an earlier service left is replaced: the service's lock must be held."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        os.fchmod(listener.fileno(), 0o600)  # before bind(2), which makes the file with this mode
        with socket_address(self._path) as address:
            listener.bind(address)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LONGEST_LINE)

    async def close(self) -> None:
        """Accept no more requests, and remove the socket."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection.set(writer)
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError) as error:  # ValueError: a line longer than the limit
            log.info("control connection ended: %s", error)
        except asyncio.CancelledError:
            log.debug("control connection closed: the service ends")
        finally:
            self._tasks.discard(task)
            writer.close()
        if self._on_close is not None:
            await self._on_close(writer)

    async def _answer(self, line: bytes) -> dict[str, Any]:
        number: Any = None
        try:
            request = _parse(line)
            number = request.get("id")
            operation = request.get("op")
            handler = self._handlers.get(operation) if isinstance(operation, str) else None
            if handler is None:
                raise UserError(f"unknown op {operation!r}; there are {', '.join(sorted(self._handlers))}")  # noqa: TRY301
            return {"id": number, "ok": await handler(request)}
        except Exception as error:  # the edge of the service: one bad request must not end it
            if not isinstance(error, LabError):
                log.exception("op failed")
            return {"id": number, "error": encode_answer(error)}


def _parse(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError as error:
        raise UserError(f"a request is one JSON object a line: {error}") from error
    if not isinstance(request, dict):
        raise UserError("a request is one JSON object a line")
    return request


class Control:
    """A client: `async with Control(layout.control) as control: await control.call("status")`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Control:
        """Connect. Raises PeerError if no service answers there."""
        try:
            with socket_address(self._path) as address:
                self._reader, self._writer = await asyncio.open_unix_connection(address, limit=LONGEST_LINE)
        except OSError as error:
            raise PeerError(f"the lab's service does not answer at {self._path}: {error.strerror or error}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    async def call(self, op: str, /, *, patience: float = PATIENCE, **fields: Any) -> dict[str, Any]:
        """Request an operation and return its answer.

        Raises UserError for a request that the service finds wrong, MissingError or PeerError if the operation failed,
        PeerError if the service has ended, TimedOut after `patience` seconds.
        """
        async with self._lock:
            self._number += 1
            request = {**fields, "id": self._number, "op": op}
            try:
                async with asyncio.timeout(patience):
                    answer = await self._exchange(request)
            except TimeoutError as error:
                self._writer.close()  # a late answer must not be read as that of the next request
                raise TimedOut(f"the lab's service has not answered {op!r} within {patience:g} s") from error
            except OSError as error:
                raise PeerError(f"the lab's service has ended: {error.strerror or error}") from error
        if "error" not in answer:
            ok: dict[str, Any] = answer["ok"]
            return ok
        raise decode_error(answer["error"])

    async def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        self._writer.write(json.dumps(request).encode() + b"\n")
        await self._writer.drain()
        line = await self._reader.readline()
        if not line:
            raise PeerError("the lab's service has ended: it closed the connection")
        answer: dict[str, Any] = json.loads(line)
        return answer
