"""One connection to a server: bytes in and out, TLS, and the parser of the stream that it carries.

All connections of a process receive into one buffer. `read` returns elements during negotiation; after `dispatch`
stanzas go to its handlers at once, without a task or a future per stanza.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import cast

from lab.errors import PeerError
from lab.load.client.tls import TlsEngine
from lab.load.client.xml_stream import Element, StreamParser

_BUFFER = bytearray(64 * 1024)
_VIEW = memoryview(_BUFFER)


class Connection(asyncio.BufferedProtocol):
    """A TCP connection that carries one XML stream after the other.

    `write` sends bytes. It is the method of the transport or of TLS itself, which saves a call for each stanza; what
    is written after the end is dropped (stream management still has it).
    """

    __slots__ = (
        "_deliver", "_elements", "_on_lost", "_parser", "_tls", "_transport", "_waiter", "closed", "reason", "write"
    )  # fmt: skip

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser: StreamParser | None = None
        self._deliver: Callable[[memoryview], None] = _dropped
        self._tls: TlsEngine | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._elements: deque[Element] | None = deque()
        self._on_lost: Callable[[str], None] | None = None
        self.write: Callable[[bytes], object] = _dropped
        self.closed = False
        self.reason = ""  # why it ended

    # -- negotiation

    async def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Do the TLS handshake; returns once what is written is encrypted. Raises PeerError."""
        assert self._transport is not None
        self._parser, self._deliver = None, _dropped
        self._tls = tls = TlsEngine(context, self._transport.write, server_name=name)
        self.write = tls.send
        tls.handshake()
        while not tls.established:
            await self._wait()

    def open_stream(self, header: bytes) -> None:
        """Begin a new stream with its header."""
        self._parser = StreamParser(self._store_message, self._store, self._on_stream_end)
        self._deliver = self._parser.feed  # the bound method: saves a lookup and a call for each read
        self._elements = deque()
        self.write(header)

    async def read(self) -> Element:
        """The next element. Raises PeerError when the stream or the connection ends."""
        assert self._elements is not None
        while not self._elements:
            await self._wait()
        element = self._elements.popleft()
        if element.name == "stream:error":
            raise PeerError(f"the server ends the stream: {_condition(element)}")
        return element

    def dispatch(
        self,
        on_message: Callable[[str], None],
        on_element: Callable[[Element], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """Call these from now on, with ids of messages, other elements, and the reason why the connection ended."""
        assert self._parser is not None
        stored, self._elements, self._on_lost = self._elements, None, on_lost
        self._parser.set_handlers(on_message, on_element)
        for element in stored or ():  # stanzas received together with `resumed`
            if element.name == "message" and element.attributes.get("type") != "error":
                on_message(element.attributes["id"])
            else:
                on_element(element)
        if self.closed:
            asyncio.get_running_loop().call_soon(on_lost, self.reason)

    # -- the end

    def close(self) -> None:
        """End the connection once all is written."""
        if self._transport is not None and not self.closed:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """End the connection at once, with a reason for whoever handles its end."""
        self.reason = self.reason or reason
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport does not inherit from it
        self.write = self._transport.write

    def get_buffer(self, sizehint: int) -> bytearray:
        """Called by the loop."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop: `nbytes` were received."""
        try:
            if self._tls is None:
                self._deliver(_VIEW[:nbytes])
            else:
                self._tls.receive(_VIEW[:nbytes], self._deliver)
        except PeerError as error:
            self.abort(str(error))
        except ssl.SSLError as error:
            self.abort(f"TLS: {error.reason or error}")
        if self._waiter is not None:
            self._wake()

    def eof_received(self) -> None:
        """Called by the loop: the server closed its side; the loop then closes ours."""

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        self.closed = True
        self.reason = self.reason or (str(error) if error else "the server closed the connection")
        if self._parser is not None:
            self._parser.close()
        self._transport = self._tls = None
        self.write = _dropped
        self._wake()
        if self._on_lost is not None:
            self._on_lost(self.reason)

    # -- inside

    def _store(self, element: Element) -> None:
        if self._elements is not None:
            self._elements.append(element)

    def _store_message(self, identity: str) -> None:
        self._store(Element("message", {"id": identity}))

    def _on_stream_end(self) -> None:
        self.reason = self.reason or "the server closed the stream"
        self.close()

    async def _wait(self) -> None:
        if self.closed:
            raise PeerError(self.reason)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None  # nobody waits: saves a check for each read
        if self.closed and not self._elements:
            raise PeerError(self.reason)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _dropped(_: bytes | memoryview) -> None:
    """Drops bytes that are received while no stream is open, or written after the end."""


def _condition(error: Element) -> str:
    """The condition and the text of a stream error."""
    return " ".join(child.text or child.name for child in error.children) or "without a reason"
