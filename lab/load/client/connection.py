"""One connection to a server: bytes in and out, TLS, and the parser of the stream it carries.

All wires of a process receive into one buffer. `read` hands out elements during negotiation; once `serve` was called
stanzas go to its handlers at once, without a task or a future per stanza.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import cast

from lab.errors import PeerError
from lab.load.client.tls import Tls
from lab.load.client.xml_stream import Element, Parser

_BUFFER = bytearray(64 * 1024)
_VIEW = memoryview(_BUFFER)


class Wire(asyncio.BufferedProtocol):
    """A TCP connection that carries one XML stream after the other.

    `write` sends bytes. It is whoever takes them, a call less for each stanza; what is written after the end is
    dropped (stream management knows it).
    """

    __slots__ = (
        "_deliver", "_elements", "_lost", "_parser", "_tls", "_transport", "_waiter", "closed", "reason", "write"
    )  # fmt: skip

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser: Parser | None = None
        self._deliver: Callable[[memoryview], None] = _dropped
        self._tls: Tls | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._elements: deque[Element] | None = deque()
        self._lost: Callable[[str], None] | None = None
        self.write: Callable[[bytes], object] = _dropped
        self.closed = False
        self.reason = ""  # why it ended, if that was not ours to decide

    # -- negotiation

    async def secure(self, context: ssl.SSLContext, name: str) -> None:
        """Shake hands; returns once what is written is encrypted. Raises PeerError."""
        assert self._transport is not None
        self._parser, self._deliver = None, _dropped
        self._tls = tls = Tls(context, self._transport.write, server_name=name)
        self.write = tls.send
        tls.shake()
        while not tls.established:
            await self._wait()

    def open(self, header: bytes) -> None:
        """Begin a new stream."""
        self._parser = Parser(self._message, self._element, self._end)
        self._deliver = self._parser.feed  # the wire's own bound method: a lookup and a call less for each piece
        self._elements = deque()
        self.write(header)

    async def read(self) -> Element:
        """The next element. Raises PeerError when the stream ends."""
        assert self._elements is not None
        while not self._elements:
            await self._wait()
        element = self._elements.popleft()
        if element.name == "stream:error":
            raise PeerError(f"the server ends the stream: {_condition(element)}")
        return element

    def serve(
        self,
        on_message: Callable[[str], None],
        on_element: Callable[[Element], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """Negotiation is over: messages' ids, other stanzas, and why the connection ended go to these."""
        assert self._parser is not None
        waiting, self._elements, self._lost = self._elements, None, on_lost
        self._parser.redirect(on_message, on_element)
        for element in waiting or ():  # stanzas that came in one piece with `resumed`
            if element.name == "message" and element.attributes.get("type") != "error":
                on_message(element.attributes["id"])
            else:
                on_element(element)
        if self.closed:
            asyncio.get_running_loop().call_soon(on_lost, self.reason)

    # -- both

    def close(self) -> None:
        """End the connection once all is written; nothing comes from it any more."""
        if self._transport is not None and not self.closed:
            self._transport.close()

    def abort(self, reason: str) -> None:
        """End the connection at once, as a failure."""
        self.reason = self.reason or reason
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.write = self._transport.write

    def get_buffer(self, sizehint: int) -> bytearray:
        """Called by the loop."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop: `nbytes` have come."""
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
        """Called by the loop: the server closed; so do we."""

    def connection_lost(self, error: Exception | None) -> None:
        """Called by the loop."""
        self.closed = True
        self.reason = self.reason or (str(error) if error else "the server closed the connection")
        if self._parser is not None:
            self._parser.close()
        self._transport = self._tls = None
        self.write = _dropped
        self._wake()
        if self._lost is not None:
            self._lost(self.reason)

    # -- inside

    def _element(self, element: Element) -> None:
        if self._elements is not None:
            self._elements.append(element)

    def _message(self, identity: str) -> None:
        self._element(Element("message", {"id": identity}))

    def _end(self) -> None:
        self.reason = self.reason or "the server closed the stream"
        self.close()

    async def _wait(self) -> None:
        if self.closed:
            raise PeerError(self.reason)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None  # nobody waits: a look less for each piece that comes
        if self.closed and not self._elements:
            raise PeerError(self.reason)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _dropped(_: bytes | memoryview) -> None:
    """Bytes that come while no stream is open, or are written after the end."""


def _condition(error: Element) -> str:
    """What a stream's error says: its condition and text."""
    return " ".join(child.text or child.name for child in error.children) or "without a reason"
