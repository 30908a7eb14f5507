"""What passes the links of a lab, kept while somebody watches, to be searched for texts: bytes as relays read them.

With TLS that is ciphertext, and how many bytes there were is all that shows that something passed; without, the text
itself stands there. It is kept in memory, for the whole lab at most `LIMIT`, and dropped with the last who watches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from lab.errors import UserError
from lab.history.canaries import find_all
from lab.network.relay import Relay

#: Bytes that are kept of all links together: a scenario's links carry well under one megabyte.
LIMIT = 64 * 1024 * 1024

Direction = tuple[str, str]  # names of the servers: who opens the streams, and to whom


class LinkCapture:
    """Keeps what relays carry for those who watch, by the control connections that they hold."""

    def __init__(self, relays: Mapping[Direction, Relay], limit: int = LIMIT) -> None:
        self._relays, self._limit = relays, limit
        self._before: dict[object, dict[Direction, int]] = {}  # by who watches: bytes that a relay had carried then
        self._kept: dict[Direction, dict[object, bytearray]] = {}  # of each flow of each relay
        self._size = 0

    def start(self, holder: object) -> None:
        """Keep what is carried from now on, until this holder is released."""
        if not self._before:
            for direction, relay in self._relays.items():
                flows = self._kept[direction] = {}
                relay.sent.tap = relay.answered.tap = lambda flow, data, flows=flows: self._keep(flows, flow, data)
        self._before.setdefault(holder, {direction: _carried(relay) for direction, relay in self._relays.items()})

    def release(self, holder: object) -> None:
        """Stop watching for this holder; with the last one all that was kept is dropped."""
        if self._before.pop(holder, None) is None or self._before:
            return
        self._kept.clear()
        self._size = 0
        for relay in self._relays.values():
            relay.sent.tap = relay.answered.tap = None

    async def search(self, holder: object, texts: Sequence[str]) -> list[dict[str, Any]]:
        """What of these texts each relay has carried since somebody began to watch, see docs/network.md.

        Raises UserError for a holder that does not watch.
        """
        if holder not in self._before:
            raise UserError("nothing is kept for this connection: start_capture first")
        before, complete = self._before[holder], self._size < self._limit
        found = []
        for (source, target), relay in self._relays.items():
            kept = [bytes(one) for one in self._kept.get((source, target), {}).values()]
            hits = await asyncio.to_thread(_search, texts, kept)
            count = _carried(relay) - before.get((source, target), 0)
            found.append({"source": source, "target": target, "bytes": count, "found": hits, "complete": complete})
        return found

    def _keep(self, flows: dict[object, bytearray], flow: object, data: bytes) -> None:
        room = self._limit - self._size
        if room > 0:
            flows.setdefault(flow, bytearray()).extend(data[:room])
            self._size += min(len(data), room)


def _carried(relay: Relay) -> int:
    return relay.sent.bytes + relay.answered.bytes


def _search(texts: Sequence[str], kept: Sequence[bytes]) -> list[tuple[str, str]]:
    return sorted({(hit.canary, hit.encoding) for data in kept for hit in find_all(texts, data)})
