"""The counters of stream management (XEP-0198), without input or output.

Both sides count stanzas modulo 2^32 from `enabled` on. What was sent is stored until the server acknowledges it; after
a resumption the rest is sent again. As long as the stream is resumed, nothing is lost or delivered twice.
"""

from __future__ import annotations

from lab.errors import PeerError

MODULO = 2**32

#: Stanzas until an acknowledgement is requested. A client that asks after each stanza doubles their number (one that
#: asks after each 32nd spends 5 % more on a message than with 100); one that never asks stores all it ever wrote.
#: lab.load.worker.engine also asks by time.
ASK_EVERY = 100


class StreamManagement:
    """The counters of one stream, over all the connections that carry it."""

    __slots__ = ("_acknowledged", "_asked", "handled", "identity", "unacknowledged")

    def __init__(self, identity: str) -> None:
        self.identity = identity  # the server's id of the stream for a resumption; "" if it does not resume
        self.handled = 0  # stanzas received, to be taken modulo 2^32
        self.unacknowledged: list[bytes] = []
        self._acknowledged = 0
        self._asked = 0  # of the unacknowledged stanzas, from the first, those that a request covers

    def store(self, stanza: bytes) -> bool:
        """Store a stanza; whether it is time to request an acknowledgement."""
        stored = self.unacknowledged
        stored.append(stanza)
        if len(stored) - self._asked < ASK_EVERY:
            return False
        self._asked = len(stored)
        return True

    def ask(self) -> bool:
        """Whether something is unacknowledged that no request covers; from now on a request covers it."""
        uncovered = self._asked < len(self.unacknowledged)
        self._asked = len(self.unacknowledged)
        return uncovered

    def acknowledge(self, handled: str | None) -> None:
        """The server says how many stanzas it has. Raises PeerError if those were never sent."""
        try:
            count = (int(handled or "") - self._acknowledged) % MODULO
        except ValueError:
            raise PeerError(f"the server acknowledges {handled!r} stanzas (XEP-0198 section 4)") from None
        if count > len(self.unacknowledged):
            raise PeerError(
                f"the server acknowledges {count} stanzas of {len(self.unacknowledged)} (XEP-0198 section 4)"
            )
        del self.unacknowledged[:count]
        self._asked = max(0, self._asked - count)
        self._acknowledged = (self._acknowledged + count) % MODULO

    def prepare_resend(self) -> bytes:
        """After a resumption: the stanzas that the server does not have, in their order."""
        self._asked = 0
        return b"".join(self.unacknowledged)
