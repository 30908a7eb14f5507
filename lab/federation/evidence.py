"""What servers and the lab's name server report, added to the history while a scenario runs.

Feeds (stanzas, streams, warnings and errors of logs) are read a few times a second, and so is the name server's log of
queries. Stanzas are recorded all, since what is judged depends on them. Of all else so many events are recorded for
each server: of what follows, a note at the end says how many there were.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.federation.context import Context
from lab.federation.servers import ServerHandle
from lab.history.events import (
    DnsAnswered,
    Event,
    Intervened,
    ServerEnded,
    ServerLogged,
    ServerSaw,
    ServerStarted,
    ServerStreamClosed,
    ServerStreamOpened,
)
from lab.network.control import Control
from lab.network.feeds import open_streams, read
from lab.servers.conventions import FEED
from lab.topology.spec import Feed

INTERVAL = 0.25  # seconds
#: Events of a kind and a server that are recorded in one run, stanzas apart.
MOST = 2000
#: Queries that one answer of the lab's service has; it keeps no more.
QUERIES = 10_000

_INTERVENED = tuple(one.name for one in fields(Intervened))
_NAMES: dict[type[Event], str] = {
    ServerStreamOpened: "streams that it opened or accepted",
    ServerStreamClosed: "streams that ended",
    ServerLogged: "lines of its log",
    DnsAnswered: "DNS questions",
}


class Evidence:
    """The reader of one run's evidence: `start` it when the run begins, `finish` or `close` it at the end."""

    def __init__(
        self, context: Context, servers: Sequence[ServerHandle], on_seen: Callable[[ServerSaw], None] = lambda _: None
    ) -> None:
        """`on_seen` is called with each stanza that a server handled, once it is recorded."""
        self._context = context
        self._on_seen = on_seen
        self._servers = tuple(servers)
        self._feeds: dict[str, Path] = {}
        self._offsets: dict[str, int] = {}
        self._counts: Counter[tuple[type[Event], str]] = Counter()
        self._queries = _Queries(context)
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self._wake = asyncio.Event()  # there is a reason to read at once
        self._waiting: list[asyncio.Future[None]] = []  # for the next reading to be complete

    async def start(self) -> None:
        """What servers report from now on belongs to this run, and so do the streams that are open."""
        layout = self._context.lab.layout
        self._feeds = {one.name: layout.server(one.name) / FEED for one in self._servers if _has_feed(one)}
        self._offsets = {name: _size(path) for name, path in self._feeds.items()}
        for name, path in self._feeds.items():
            for opened in await asyncio.to_thread(open_streams, path, name, self._offsets[name]):
                self._record(opened, name)
        await self._queries.start()
        self._task = asyncio.create_task(self._follow())

    async def catch_up(self) -> None:
        """Return once what servers have reported until now is in the history."""
        if self._task is None:
            return
        complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(complete)
        self._wake.set()
        await asyncio.wait((complete, self._task), return_when=asyncio.FIRST_COMPLETED)

    async def search_capture(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Which of these texts each link has carried since the start of the run; called while evidence is not read."""
        return await self._queries.search_capture(texts)

    async def finish(self) -> None:
        """Read what there is until now, and note what was left out. Raises PeerError for a feed that is damaged."""
        task, self._task = self._task, None
        if task is None:
            return
        self._ending = True
        self._wake.set()  # not cancelled: half an answer of the control socket would be taken for the next
        await task
        while await self._read():
            pass
        for name, path in self._feeds.items():
            if not path.exists():
                self._context.history.note(f"server {name} has written no feed")
        for (kind, name), count in self._counts.items():
            if count > MOST:
                text = f"{count - MOST} more {_NAMES[kind]} than the first {MOST} are left out of the history"
                self._context.history.note(f"{name or 'others of the lab'}: {text}")

    async def close(self) -> None:
        """Read no more. A run that ended before `finish` keeps what was reported until now."""
        try:
            await self.finish()
        except LabError as error:
            self._context.history.note(f"what servers reported could not be read to its end: {error}")
        finally:
            await self._queries.close()

    async def _follow(self) -> None:
        while not self._ending:
            self._wake.clear()
            waiting, self._waiting = self._waiting, []
            await self._read()
            for one in waiting:
                if not one.done():
                    one.set_result(None)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), INTERVAL)

    async def _read(self) -> bool:
        """Record what is new; whether there was anything."""
        found = False
        grown = [name for name, path in self._feeds.items() if _size(path) != self._offsets.get(name, 0)]
        for name in grown:
            before = self._offsets.get(name, 0)
            events, offset = await asyncio.to_thread(read, self._feeds[name], name, before)
            self._offsets[name] = offset
            found = found or offset != before
            for event in events:
                self._record(event, name)
        for answered in await self._queries.new():
            self._record(answered, answered.asker)
        for intervened in await self._queries.interventions():
            self._context.history.record(intervened)
        return found

    def _record(self, event: Event, source: str) -> None:
        if not isinstance(event, ServerSaw):
            self._counts[type(event), source] += 1
            if self._counts[type(event), source] > MOST:
                return
        self._context.history.record(event)
        if isinstance(event, ServerSaw):
            self._on_seen(event)


class _Queries:
    """The name server's log of queries, and that of attacks on links, over the lab's control socket.

    Without a service there is none, with a note.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._control: Control | None = None
        self._last = 0  # number of the last query that was read
        self._intervention = 0  # the same of attacks

    async def start(self) -> None:
        try:
            self._control = await self._context.lab.open_control().__aenter__()
            self._last = (await self._control.call("queries", limit=1))["last"]
            self._intervention = (await self._control.call("interventions"))["last"]
            await self._control.call("start_capture")
        except LabError as error:
            await self._give_up(error)

    async def new(self) -> Iterator[DnsAnswered]:
        """The answers since the last time."""
        if self._control is None:
            return iter(())
        try:
            answer = await self._control.call("queries", since=self._last, limit=QUERIES)
        except LabError as error:
            await self._give_up(error)
            return iter(())
        queries, missing = answer["queries"], answer["last"] - self._last - len(answer["queries"])
        self._last = answer["last"]
        if missing > 0:
            self._context.history.note(f"{missing} DNS questions were answered of which nothing is known any more")
        return map(_answered, queries)

    async def interventions(self) -> list[Intervened]:
        """What attacks have done to stanzas since the last time."""
        if self._control is None:
            return []
        try:
            answer = await self._control.call("interventions", since=self._intervention)
        except LabError as error:
            await self._give_up(error)
            return []
        found, missing = answer["interventions"], answer["last"] - self._intervention - len(answer["interventions"])
        self._intervention = answer["last"]
        if missing > 0:
            self._context.history.note(f"attacks acted on {missing} stanzas of which nothing is known any more")
        return [Intervened(**{one: data[one] for one in _INTERVENED}) for data in found]

    async def search_capture(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Which of these texts each link has carried since the start, see docs/network.md; [] without a service."""
        if self._control is None:
            return []
        try:
            answer = await self._control.call("search_capture", texts=list(texts))
        except LabError as error:
            await self._give_up(error)
            return []
        found: list[dict[str, Any]] = answer["links"]
        return found

    async def _give_up(self, error: LabError) -> None:
        await self.close()
        self._context.history.note(f"the logs of the lab's service cannot be read: {error}")

    async def close(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            with contextlib.suppress(OSError):
                await control.__aexit__(None, None, None)


async def read_earlier_answers(context: Context) -> list[DnsAnswered]:
    """The last answer of the lab's name server to each question that it still knows, oldest first.

    Raises PeerError, TimedOut if it cannot be asked.
    """
    async with context.lab.open_control() as control:
        queries = (await control.call("queries", limit=QUERIES))["queries"]
    last = {(one["asker"], one["name"], one["type"]): _answered(one) for one in queries}
    return sorted(last.values(), key=lambda one: one.at)


async def record_server_states(context: Context) -> None:
    """Record each start and end of a server's process since the run began, and the end of one that was down then."""
    began = next((event.at for event in context.history.events), 0.0)
    try:
        states = await context.lab.read_states()
    except LabError as error:
        context.history.note(f"when servers were started and ended cannot be read: {error}")
        return
    for name, state in states.items():
        before = [one for one in state.changes if one[0] < began]
        for at, runs in (*before[-1:], *(one for one in state.changes if one[0] >= began)):
            if runs and at >= began:
                context.history.record(ServerStarted(at=at, server=name))
            elif not runs:
                context.history.record(ServerEnded(at=at, server=name))


def _answered(query: dict[str, Any]) -> DnsAnswered:
    records = tuple((str(kind), str(value)) for kind, value in query["records"])
    return DnsAnswered(
        at=query["at"],
        asker=query["asker"],
        name=query["name"],
        type=query["type"],
        rcode=query["rcode"],
        records=records,
    )


def _has_feed(server: ServerHandle) -> bool:
    return server.spec.feed is not Feed.OFF and server.spec.manifest.instrumented


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
