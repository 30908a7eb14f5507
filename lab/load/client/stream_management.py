"""Stream management, the counting part of it (XEP-0198), without input or output.

Both sides count stanzas modulo 2^32 from `enabled` on. What was sent is kept until the server says that it has it;
after a resumption what it does not have is sent again. Nothing is lost or twice, as long as the stream is resumed.
"""

from __future__ import annotations

from lab.errors import PeerError

MODULO = 2**32

#: Stanzas until we ask how many have come. A client that asks after each doubles the stanzas (after each 32nd a message
#: costs 5 % more than so); one that never does keeps all it ever wrote. What is left is asked for by time, see
#: lab.load.worker.engine.
ASK_EVERY = 100


class Management:
    """The counters of one stream, over all the connections that carry it."""

    __slots__ = ("_acknowledged", "_asked", "handled", "identity", "unacknowledged")

    def __init__(self, identity: str) -> None:
        self.identity = identity  # what the server resumes by; "" if it does not
        self.handled = 0  # stanzas that came, to be taken modulo 2^32
        self.unacknowledged: list[bytes] = []
        self._acknowledged = 0
        self._asked = 0  # of the unacknowledged, from the front, those that a question covers

    def sent(self, stanza: bytes) -> bool:
        """Keep a stanza; whether it is time to ask."""
        kept = self.unacknowledged
        kept.append(stanza)
        if len(kept) - self._asked < ASK_EVERY:
            return False
        self._asked = len(kept)
        return True

    def ask(self) -> bool:
        """Whether something is unacknowledged and no question covers it; from here on one does."""
        open_question = self._asked < len(self.unacknowledged)
        self._asked = len(self.unacknowledged)
        return open_question

    def acknowledge(self, handled: str | None) -> None:
        """The server says how many it has. Raises PeerError if those were never sent."""
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

    def again(self) -> bytes:
        """After a resumption: what the server does not have, in its order."""
        self._asked = 0
        return b"".join(self.unacknowledged)
