"""TLS over memory buffers, for connections of the load engine and of the null server in its tests.

The TLS of an asyncio transport allocates memory for each connection and each read; here all connections of a process
share one buffer for decrypted data, which nearly halves the cost of a message and saves a third of a connection's
memory.

    bytes from the network -> receive -> plain text;  plain text -> send -> bytes for the network
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from lab.system.tls import client_context

#: Larger than a TLS record (16 KiB, RFC 8446 section 5.1): one read decrypts several small ones.
_BUFFER = bytearray(64 * 1024)
_VIEW = memoryview(_BUFFER)
_SIZE = len(_BUFFER)


def load_context(trusted: str) -> ssl.SSLContext:
    """The context of `lab.system.tls.make_client_context` for TLS 1.2 or later, as `TlsEngine` needs it."""
    context = client_context(trusted)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a peer that asked for it would wait until something is sent
    return context


class TlsEngine:
    """One side of a TLS connection without input or output; `write_network` gets encrypted bytes at once.

    At once, since records are numbered: an answer of TLS itself must precede what is sent while plain text is
    delivered.
    """

    __slots__ = ("_incoming", "_outgoing", "_read", "_ssl", "_write", "_write_network", "established")

    def __init__(
        self,
        context: ssl.SSLContext,
        write_network: Callable[[bytes], object],
        *,
        server_name: str | None = None,
        server: bool = False,
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._write_network = write_network
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=server_name)
        inner = getattr(self._ssl, "_sslobj", self._ssl)  # the object that Python wraps: saves a call for each record
        self._read, self._write = inner.read, inner.write
        self.established = False

    def handshake(self) -> None:
        """Continue the handshake; to be called once to begin it."""
        try:
            self._ssl.do_handshake()
            self.established = True
        except ssl.SSLWantReadError:
            pass
        finally:  # also an alert, if it failed
            self._flush()

    def receive(self, data: bytes | memoryview, deliver: Callable[[memoryview], None]) -> None:
        """Decrypt bytes from the network; calls `deliver` with each part of the plain text, valid until it returns.

        Raises ssl.SSLError (a certificate that is not trusted, bytes that are no TLS). That the peer closed TLS is
        not reported.
        """
        incoming = self._incoming
        incoming.write(data)
        if not self.established:
            self.handshake()
            if not self.established or not incoming.pending:
                return
        try:
            while count := self._read(_SIZE, _BUFFER):  # given a buffer, it returns a count
                deliver(_VIEW[:count])  # type: ignore[index]
                if not incoming.pending:  # nor has OpenSSL a rest: a read decrypts whole records
                    return  # an answer of TLS itself is sent with the next data (RFC 8446 section 4.6.3)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        self._flush()

    def send(self, data: bytes) -> None:
        """Encrypt plain text."""
        self._write(data)
        self._write_network(self._outgoing.read())

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._write_network(self._outgoing.read())
