"""What happens between a few servers, as lines in the order of time: DNS answers, streams, and what a trace adds.

Events of the servers are read a few times a second; they are shown half a second late, so that none comes too late.
What led to streams that were open before, answers of the name server, is shown as far as that still knows them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from lab.declarations.domains import a_labels
from lab.federation import Federation
from lab.federation.evidence import read_earlier_answers
from lab.federation.jids import prepare_localpart
from lab.federation.people import Person
from lab.federation.servers import ServerHandle
from lab.history.events import DnsAnswered, Event, ServerStreamOpened
from lab.lifecycle.accounts import create_account, exists, find_account, read_view

_LATE = 0.5  # seconds after which an event is shown: what happened before it has been read by then
_AT_THE_END = float("inf")  # the time of what is said last


@dataclass(frozen=True)
class TraceLine:
    """What happened, as one line."""

    at: float  # seconds since the epoch
    after: float | None  # seconds since what is traced began, None before that
    text: str

    def __str__(self) -> str:
        after = "" if self.after is None else f"+{self.after * 1000:.1f} ms"
        return f"{after:>11}  {self.text}"


class LiveTrace:
    """The events of a federation that concern these servers, waiting to be shown in the order of time."""

    def __init__(
        self, federation: Federation, servers: Sequence[ServerHandle], show: Callable[[TraceLine], None]
    ) -> None:
        self._context, self._history, self._show = federation.context, federation.history, show
        self._servers = {one.name: one.domain for one in servers}
        self._hosts = tuple(map(a_labels, self._servers.values()))  # as the DNS has them
        self._waiting: list[tuple[float, str]] = []
        self._opened = self._history.now()
        self._beginnings: list[float] = []  # of what is traced, seconds since the epoch

    @asynccontextmanager
    async def showing(self) -> AsyncIterator[None]:
        """Show what there is and what happens in the block, in time; all of it has been shown at its end."""
        end = self._history.on_event(self.add)
        for event in (*await read_earlier_answers(self._context), *self._history.events):
            self.add(event)
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            end()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self.flush()

    def begin(self, at: float) -> None:
        """Count from here on from this moment, in seconds since the epoch."""
        self._beginnings.append(at)

    def correct_beginning(self, at: float, text: str) -> None:
        """The last one began at this other moment; so did what this line says, if it has not been shown."""
        self._beginnings[-1] = at
        self._waiting = [(at if said == text else when, said) for when, said in self._waiting]

    def add(self, event: Event) -> None:
        """Keep an event until it is shown, if it belongs here."""
        if said := self.describe(event):
            self.add_line(event.at, said)

    def add_line(self, at: float, text: str) -> None:
        """Keep a line about this moment until it is shown."""
        self._waiting.append((at, text))

    def add_last(self, text: str) -> None:
        """Keep a line that is shown behind all others."""
        self._waiting.append((_AT_THE_END, text))

    def describe(self, event: Event) -> str:
        """What an event says of these servers, "" if nothing."""
        match event:
            case ServerStreamOpened(stream="s2s"):
                return self._describe_stream(event)
            case DnsAnswered() if event.asker in self._servers and self._is_about_us(event.name):
                records = ", ".join(f"{kind} {value}" for kind, value in event.records) or event.rcode
                verb = "had asked" if event.at < self._opened else "asks"
                return f"{event.asker} {verb} for {event.type} {event.name}: {records}"
        return ""

    def _is_about_us(self, name: str) -> bool:
        return any(f".{name}".endswith(f".{host}") for host in self._hosts)

    def _describe_stream(self, event: ServerStreamOpened) -> str:
        if event.server not in self._servers or event.peer not in self._servers.values():
            return ""
        before = event.at < self._opened
        verb = (
            ("had accepted" if before else "accepts")
            if event.direction == "in"
            else ("had opened" if before else "opens")
        )
        way = f"{verb} a stream {'of' if event.direction == 'in' else 'to'} {event.peer}"
        return f"{event.server} {way}: {event.tls or 'no TLS'}, authenticated by {event.authentication}"

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_LATE / 4)
            self.flush(self._history.now() - _LATE)

    def flush(self, until: float = _AT_THE_END) -> None:
        """Show what happened until then."""
        self._waiting.sort(key=lambda one: one[0])
        while self._waiting and self._waiting[0][0] <= until:
            at, text = self._waiting.pop(0)
            began = max((one for one in self._beginnings if one <= at), default=None)
            self._show(TraceLine(at, None if began is None or at == _AT_THE_END else at - began, text))


async def add_person(federation: Federation, word: str, encryption: str = "plain") -> Person:
    """The person that such a word means (alice@a, alice@a.test), without a device; with an account from now on.

    Raises UserError for who can be no person of the lab, PeerError where a server refuses an account.
    """
    lab = federation.lab
    view = read_view(lab.layout)
    user, server = view.split_person(word)
    user = prepare_localpart(user)
    account = (
        find_account(lab.layout, view, f"{user}@{server.name}")
        if exists(lab.layout, server, user)
        else await create_account(lab, view, f"{user}@{server.name}")
    )
    person = Person(federation.participants, federation.server(server.name), user, encryption)
    person.password = account.password
    federation.participants.people.append(person)
    return person
