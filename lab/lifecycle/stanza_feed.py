"""What servers report while somebody watches: stanzas and streams from their feeds, in the order of time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import PeerError, UserError
from lab.history.events import Event, ServerSaw, ServerStreamClosed, ServerStreamOpened
from lab.network.feeds import read
from lab.plan.model import Plan
from lab.servers.conventions import FEED
from lab.topology.spec import Feed

POLL = 0.1  # seconds between two reads of the feeds
STREAM = "stream"
KINDS = ("message", "presence", "iq", STREAM)

Seen = ServerSaw | ServerStreamOpened | ServerStreamClosed


@dataclass(frozen=True)
class WatchFilter:
    """What is shown; an empty part lets all pass."""

    servers: Sequence[str] = ()  # names
    people: Sequence[str] = ()  # bare JIDs
    kinds: Sequence[str] = ()  # of KINDS

    def passes(self, event: Event) -> bool:
        """Whether an event is one of these."""
        if not isinstance(event, Seen) or (self.servers and event.server not in self.servers):
            return False
        kind = event.name if isinstance(event, ServerSaw) else STREAM
        if self.kinds and kind not in self.kinds:
            return False
        ends = (event.sender, event.receiver, event.peer) if isinstance(event, ServerSaw) else (event.peer,)
        return not self.people or any((end or "").partition("/")[0] in self.people for end in ends)


def find_feeds(root: Path, plan: Plan, only: Sequence[str]) -> dict[str, Path]:
    """The feeds of a lab's servers by name. Raises UserError for a server that does not exist or has no feed."""
    from lab.plan.layout import Layout

    names = [server.spec.name for server in plan.servers]
    if unknown := [name for name in only if name not in names]:
        raise UserError(f"no server {unknown[0]!r} in this lab; there are: {', '.join(names)}")
    specs = {server.spec.name: server.spec for server in plan.servers}
    seeing = [name for name, one in specs.items() if one.manifest.instrumented and one.feed is not Feed.OFF]
    without = [name for name in only or names if name not in seeing]
    if without and (only or not seeing):
        raise UserError(f"{', '.join(without)}: nothing to watch, there is no feed of it (`feed:` in the topology)")
    return {name: Layout(root).server(name) / FEED for name in seeing if not only or name in only}


async def watch(
    feeds: Mapping[str, Path],
    wanted: WatchFilter,
    *,
    ends: Mapping[str, int] | None = None,
    is_up: Callable[[], bool] = lambda: True,
) -> AsyncGenerator[Seen, None]:
    """What servers report from now on, or from these places of their feeds on, for as long as their lab is up.

    What several servers report is in the order of time as far as it was written when the feeds were read. Raises
    PeerError for a damaged feed.
    """
    offsets = dict(ends) if ends is not None else {name: _size(path) for name, path in feeds.items()}
    going_on = True
    while going_on:
        going_on = is_up()  # asked before they are read: what was written until then is shown
        found: list[Event] = []
        for name, path in feeds.items():
            if _size(path) == offsets.get(name, 0):
                continue
            try:
                events, offsets[name] = await asyncio.to_thread(read, path, name, offsets.get(name, 0))
            except PeerError:
                if is_up():
                    raise
                continue  # its folder was deleted meanwhile
            found += events
        for event in sorted(found, key=lambda one: one.at):
            if isinstance(event, Seen) and wanted.passes(event):
                yield event
        await asyncio.sleep(POLL)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
