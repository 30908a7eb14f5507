"""An address and port of the lab that accepts, refuses or ignores connections; each without any privilege.

To ignore connections, it listens with an accept queue of one and fills that with a connection of its own: Linux then
drops every further SYN, and the caller repeats it until its own timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from lab.errors import MissingError

BACKLOG = 256  # connections that may wait until the event loop accepts them
FILL_PATIENCE = 1.0  # seconds for a connection to the own address


class Listener:
    """One address and port; `listen`, `close` and `ignore` may follow each other in any order."""

    def __init__(self, address: str, port: int, factory: Callable[[], asyncio.BaseProtocol], purpose: str) -> None:
        self._address, self._port = address, port
        self._factory, self._purpose = factory, purpose
        self._server: asyncio.Server | None = None
        self._sockets: list[
            socket.socket
        ] = []  # while connections are ignored: listener, then the connection that fills its queue

    async def listen(self) -> None:
        """Accept connections. Raises MissingError if the address or port cannot be bound."""
        self.close()
        listener = self._bind()
        self._server = await asyncio.get_running_loop().create_server(self._factory, sock=listener, backlog=BACKLOG)

    @property
    def port(self) -> int:
        """The port that it listens on: where it was given 0, one that the kernel has chosen."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Refuse connections: who connects gets a reset. Connections accepted before stay open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        while self._sockets:
            self._sockets.pop().close()

    def ignore(self) -> None:
        """Ignore connections: they get no answer. Raises MissingError if the address or port cannot be bound."""
        self.close()
        listener = self._bind()
        listener.listen(0)
        filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._sockets = [listener, filler]
        filler.settimeout(FILL_PATIENCE)
        with contextlib.suppress(TimeoutError):  # another connection has filled the queue
            filler.connect((self._address, self._port))

    def _bind(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._address, self._port))
        except OSError as error:
            listener.close()
            raise MissingError(
                f"{self._purpose} cannot listen on {self._address} port {self._port}: {error.strerror or error}; "
                "end what listens there, or give the lab another network"
            ) from error
        listener.setblocking(False)
        return listener
