"""The life of a device's stream: log in, become reachable, hear, be gone.

Its public coroutines are the requests `connect` and `disconnect` of lab/clients/protocol.py.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from lab.clients.encryption import Encryption, Settings, strategy
from lab.clients.inbox import Inbox
from lab.clients.stanzas import CARBONS, CLIENT
from lab.clients.stream import Refused, Stream, tls_context
from lab.errors import LabError, UserError

PING = "urn:xmpp:ping"

Event = dict[str, Any]


@dataclass
class Session:
    """All that belongs to one live stream."""

    id: str
    stream: Stream
    encryption: Encryption
    inbox: Inbox
    told: bool = False  # whether `connected` has been said


class Connection:
    """A device's way to be online. `emit` is told its events as the protocol has them."""

    def __init__(self, name: str, emit: Callable[[Event], None]) -> None:
        self.name = name
        self._tell = emit
        self._session: Session | None = None
        self._opening: Stream | None = None
        self._sending = asyncio.Lock()  # messages leave in the order in which they were asked for
        self._memory: dict[str, Any] = {}  # keys of a device without a folder live as long as it does
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(
        self, *, jid: str, password: str, resource: str, host: str, port: int, authority: str,
        encryption: str = "plain", trust: str = "blind", folder: str | None = None,
    ) -> Event:  # fmt: skip
        """Log in; see the protocol."""
        if self._session is not None:
            raise UserError(f"device {self.name!r} is connected already: disconnect it first")
        settings = Settings(trust, None if folder is None else Path(folder), self._memory, self._trouble)
        way = strategy(encryption, settings)
        stream = self._opening = Stream(f"{jid}/{resource}", password, tls_context(authority), self._trouble)
        way.prepare(stream)
        await stream.open(host, port)
        name, full = uuid.uuid4().hex, stream.boundjid.full
        session = Session(name, stream, way, Inbox(stream.boundjid.bare, full, name, way, self._emit))
        self._session = session
        self._listen(session)
        try:
            extra = await self._begin(session)
        except BaseException as error:
            await self._end(session, str(error) or "given up")
            raise
        return {"jid": full, "stream": session.id, **extra}

    async def _begin(self, session: Session) -> Event:
        stream, way = session.stream, session.encryption
        stream.step = "logged in, asking for the roster"
        await stream.ask("get", ET.Element("{jabber:iq:roster}query"))
        with suppress(Refused):  # a server without carbons is a server all the same
            await stream.ask("set", ET.Element(f"{{{CARBONS}}}enable"))
        stream.step = f"logged in, preparing encryption ({way.name})"
        extra = await way.start()
        stream.send_presence()
        await stream.flushed()
        session.told = True
        self._emit("connected", jid=stream.boundjid.full, stream=session.id)
        stream.step = "online, waiting for offline messages"
        with suppress(Refused):  # any answer stands behind what was to be handed over: streams keep order
            await stream.ask("get", ET.Element(f"{{{PING}}}ping"), stream.boundjid.host)
        await session.inbox.opened()
        stream.step = f"online, waiting until others can encrypt to it ({way.name})"
        await way.settled()
        return extra

    @property
    def step(self) -> str:
        """How far the last attempt to connect has come, for people."""
        return "" if self._opening is None else self._opening.step

    def _listen(self, session: Session) -> None:
        stream = session.stream
        for name, take in (("message", session.inbox.message), ("presence", session.inbox.presence)):
            matcher = MatchXPath(f"{{{CLIENT}}}{name}")
            stream.register_handler(Callback(f"lab {name}", matcher, partial(_pass_on, take)))
        stream.add_event_handler("disconnected", lambda reason: self._lost(session, reason))

    def _lost(self, session: Session, reason: object) -> None:
        if self._session is session:
            self._spawn(self._end(session, session.stream.refusal or str(reason or "")))

    async def _end(self, session: Session, reason: str) -> None:
        """Tell that the stream is gone, once, and stop what belongs to it."""
        if self._session is not session:
            return
        self._session = None
        if session.told:
            self._emit("disconnected", jid=session.stream.boundjid.full, stream=session.id, reason=reason)
        await session.inbox.close()
        await session.encryption.close()
        await session.stream.abandon()

    async def disconnect(self) -> Event:
        """Close the stream; nothing to do without one."""
        if (session := self._session) is not None:
            await session.stream.shut()
            await self._end(session, "asked to")
        if self._tasks:
            await asyncio.wait(self._tasks)
        return {}

    def _live(self) -> Session:
        if self._session is None or not self._session.told:
            raise UserError(f"device {self.name!r} is not connected: connect it first")
        return self._session

    def _emit(self, event: str, **fields: Any) -> None:
        self._tell({"event": event, "device": self.name, "at": time.time(), **fields})

    def _trouble(self, message: str) -> None:
        self._emit("trouble", message=message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except (LabError, OSError) as error:
                self._trouble(str(error))

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _pass_on(take: Callable[[ET.Element], None], stanza: Any) -> None:
    take(stanza.xml)
