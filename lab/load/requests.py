"""What users ask their servers for, with the time until the answer: presence, archive, roster, login, upload.

Each is counted like a message, on a route of its own name. One that gets no answer until the end is lost, one that is
refused has bounced with its condition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

from lab.errors import PeerError
from lab.load import stanzas
from lab.load.deliveries import Records
from lab.load.parser import Element
from lab.load.session import Session
from lab.load.upload import put

_SECOND = 1e-9  # in ns

#: Messages of one page of an archive: what clients ask for when they open a conversation.
PAGE = 20

#: Marks our ids among those of other stanzas.
_PREFIX = "load-"


class Requests:
    """Of one worker; `kinds` are those that it can do. `on_done` is told each one's number."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._open: dict[str, tuple[str, int, int]] = {}  # id -> kind, intended, actual (ns)
        self._slots: dict[str, asyncio.Future[Element]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self.on_done: Callable[[str], None] | None = None
        self.kinds: dict[str, Callable[[Session, int, int], str]] = {
            "presence": self._presence,
            "archive": self._archive,
            "roster": self._roster,
            "login": self._login,
            "upload": self._upload,
        }

    @property
    def outstanding(self) -> int:
        """Requests without an answer yet."""
        return len(self._open)

    def ask(self, kind: str, session: Session, intended: int, size: int) -> str:
        """Do one that was due at `intended`; its id. `size` is an upload's, in bytes."""
        return self.kinds[kind](session, intended, size)

    def answered(self, element: Element) -> None:
        """A presence or iq came to a user."""
        identity = element.attributes.get("id", "")
        if identity not in self._open:
            return
        slot = self._slots.pop(identity, None)
        if slot is not None and not slot.done():
            slot.set_result(element)
        elif element.attributes.get("type") == "error":
            self._ended(identity, condition(element))
        else:
            self._ended(identity)

    def close(self) -> None:
        """What has no answer by now is lost."""
        for task in self._tasks:
            task.cancel()
        for kind, intended, _ in self._open.values():
            self._records.lost(kind, (perf_counter_ns() - intended) * _SECOND)
        self._open.clear()

    # -- one kind each

    def _presence(self, session: Session, intended: int, size: int) -> str:
        identity = self._begun("presence", intended)
        session.send(stanzas.presence(identity.encode()))
        return identity

    def _archive(self, session: Session, intended: int, size: int) -> str:
        identity = self._begun("archive", intended)
        session.send(stanzas.archive(identity.encode(), PAGE))
        return identity

    def _roster(self, session: Session, intended: int, size: int) -> str:
        identity = self._begun("roster", intended)
        session.send(stanzas.roster(identity.encode()))
        return identity

    def _login(self, session: Session, intended: int, size: int) -> str:
        identity = self._begun("login", intended)
        self._task(identity, self._again(session, identity))
        return identity

    def _upload(self, session: Session, intended: int, size: int) -> str:
        identity = self._begun("upload", intended)
        self._task(identity, self._uploaded(session, identity, size))
        return identity

    async def _again(self, session: Session, identity: str) -> None:
        if not session.online:
            self._ended(identity, "not-online")
            return
        session.leave()
        await session.connect()
        self._ended(identity)

    async def _uploaded(self, session: Session, identity: str, size: int) -> None:
        slot = self._slots[identity] = asyncio.get_running_loop().create_future()
        service = f"upload.{session.endpoint.domain}"
        session.send(stanzas.slot(identity.encode(), service, f"{identity}.bin", size))
        answer = await slot
        if answer.attributes.get("type") == "error":
            self._ended(identity, condition(answer))
            return
        await put(answer, session.endpoint.host, session.context, bytes(size))
        self._ended(identity)

    # -- all kinds

    def _begun(self, kind: str, intended: int) -> str:
        now = perf_counter_ns()
        self._count += 1
        identity = f"{_PREFIX}{self._count:x}-{now:x}"
        self._open[identity] = (kind, intended, now)
        self._records.sent(kind, intended * _SECOND, now * _SECOND)
        return identity

    def _ended(self, identity: str, condition: str = "") -> None:
        kind, intended, actual = self._open.pop(identity)
        now = perf_counter_ns()
        age = (now - intended) * _SECOND
        if condition:
            self._records.bounced(kind, condition, age)
        else:
            self._records.received(kind, age, (now - actual) * _SECOND)
        if self.on_done is not None:
            self.on_done(identity)

    def _task(self, identity: str, work: object) -> None:
        task = asyncio.get_running_loop().create_task(self._guarded(identity, work))  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, identity: str, work: asyncio.Future[None]) -> None:
        try:
            await work
        except TimeoutError:
            self._ended(identity, "timeout")
        except (PeerError, OSError) as error:
            self._ended(identity, str(error)[:80])


def condition(element: Element) -> str:
    """The condition of a stanza's error (RFC 6120 section 8.3.3)."""
    error = element.find("error")
    named = next((child.name for child in error.children if child.name != "text"), None) if error else None
    return named or "undefined-condition"
