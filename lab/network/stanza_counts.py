"""Counts of XEP-0198 over a relay that drops, delays, repeats and adds stanzas: what the sender is told. Pure.

One for each direction of a stream. The sender is told the length of the longest beginning of what it sent that is
settled: dropped here, or sent on with its last copy acknowledged by the receiver. Requests pass untouched, and nothing
is acknowledged by the relay itself; so a sender never learns more than is true, and no count is larger than what it
sent (which would end the stream, XEP-0198 section 6).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

_MODULUS = 2**32  # `h` is an unsignedInt that wraps around (XEP-0198 section 4)


@dataclass(slots=True)
class CountedStanza:
    """A stanza of the sender that is not settled yet."""

    held: bool = True  # the relay has it
    last: int = 0  # the receiver's number of its last copy, 0 if it was dropped


class StanzaCounts:
    """One direction of a stream, from the element that enabled stream management on."""

    def __init__(self, h: int = 0) -> None:
        """`h`: what the receiver had acknowledged before, on a stream that is resumed and was not counted."""
        self._open: deque[CountedStanza] = deque()
        self._settled = self._written = self._acknowledged = h

    def receive(self) -> CountedStanza:
        """The sender sent one more stanza."""
        self._open.append(stanza := CountedStanza())
        return stanza

    def write(self, stanza: CountedStanza | None) -> None:
        """A copy of a stanza was sent on, or (None) a stanza of the relay's own was sent."""
        self._written += 1
        if stanza is not None:
            stanza.held, stanza.last = False, self._written

    def drop(self, stanza: CountedStanza) -> None:
        """The stanza is not sent on."""
        stanza.held = False

    def acknowledge(self, h: int) -> int:
        """The receiver has acknowledged `h` stanzas: what the sender is to be told instead."""
        since = (h - self._acknowledged) % _MODULUS
        if since <= self._written - self._acknowledged:  # else it counts what it was not sent: it stays as it was
            self._acknowledged += since
        while self._open and not self._open[0].held and self._open[0].last <= self._acknowledged:
            self._open.popleft()
            self._settled += 1
        return self._settled % _MODULUS

    def resume(self, h: int) -> int:
        """The stream is resumed, and its receiver has `h` stanzas: what the sender is to be told instead.

        The sender sends all that follow once more (XEP-0198 section 5), so what was under way is not waited for.
        """
        told = self.acknowledge(h)
        self._open.clear()
        self._written = self._acknowledged
        return told
