"""The stanzas of a device or a scripted peer, and waiting for one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from lab.errors import NotReceived
from lab.federation.context import describe_duration, read_duration
from lab.federation.stanzas import Stanza

EVIDENCE = 8  # stanzas quoted where the awaited one was not received

Match = str | Callable[[Stanza], bool]
T = TypeVar("T")


class StanzaLog:
    """Stanzas in the order of the stream; each is added as it passes."""

    def __init__(self, owner: str) -> None:
        self.stanzas: list[Stanza] = []
        self._owner = owner
        self._changed = asyncio.Event()

    def add(self, stanza: Stanza) -> None:
        """Add a stanza, and let those who wait look again."""
        self.stanzas.append(stanza)
        self.changed()

    def changed(self) -> None:
        """Let those who wait look again."""
        self._changed.set()

    async def until(self, found: Callable[[], T | None], within: str | float) -> T | None:
        """What `found` returns once it is not None; None if it does not in time."""
        try:
            async with asyncio.timeout(read_duration(within)):
                while (result := found()) is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        return result

    async def received(self, match: Match, within: str | float, *, taken: set[int] | None = None) -> Stanza:
        """The first received stanza that matches; with `taken`, of those whose index is not in it, and it is then.

        Raises NotReceived with the last that were received.
        """

        def find() -> Stanza | None:
            for index, one in enumerate(self.stanzas):
                if one.direction == "in" and (taken is None or index not in taken) and matches(match, one):
                    if taken is not None:
                        taken.add(index)
                    return one
            return None

        if (stanza := await self.until(find, within)) is not None:
            return stanza
        wanted = f"with {match!r}" if isinstance(match, str) else "that matches"
        received = [one.xml for one in self.stanzas if one.direction == "in"][-EVIDENCE:]
        raise NotReceived(
            f"{self._owner} received no stanza {wanted} within {describe_duration(within)}",
            tuple(received) or ("nothing was received",),
        )


def matches(match: Match, stanza: Stanza) -> bool:
    """Whether a stanza has this text in its XML, or is one for which this function is true."""
    return match in stanza.xml if isinstance(match, str) else bool(match(stanza))
