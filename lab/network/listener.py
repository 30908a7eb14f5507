"""An address of the lab's that listens, refuses, or leaves connections unanswered; each without any privilege.

Unanswered is done with a listener whose queue of one is filled with a connection of our own: the kernel then
ignores every further SYN (Linux: a full accept queue), and the caller tries until its patience ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from lab.errors import MissingError

BACKLOG = 256  # connections that may wait until the loop comes round
FILL_PATIENCE = 1.0  # seconds for a connection to ourselves over loopback or our own address


class Listener:
    """One address and port; `listen`, `close` and `ignore` may follow each other in any order."""

    def __init__(self, address: str, port: int, factory: Callable[[], asyncio.BaseProtocol], purpose: str) -> None:
        self._address, self._port = address, port
        self._factory, self._purpose = factory, purpose
        self._server: asyncio.Server | None = None
        self._sockets: list[socket.socket] = []  # of the unanswered state: listener, then the filling connection

    async def listen(self) -> None:
        """Accept connections. Raises MissingError if the address or port cannot be had."""
        self.close()
        listener = self._bind()
        self._server = await asyncio.get_running_loop().create_server(self._factory, sock=listener, backlog=BACKLOG)

    def close(self) -> None:
        """Refuse: whoever connects gets a reset. Connections accepted before stay."""
        if self._server is not None:
            self._server.close()
            self._server = None
        while self._sockets:
            self._sockets.pop().close()

    def ignore(self) -> None:
        """Leave connections unanswered. Raises MissingError if the address or port cannot be had."""
        self.close()
        listener = self._bind()
        listener.listen(0)
        filling = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._sockets = [listener, filling]
        filling.settimeout(FILL_PATIENCE)
        with contextlib.suppress(TimeoutError):  # somebody was faster: the queue is full all the same
            filling.connect((self._address, self._port))

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
