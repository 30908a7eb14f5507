"""Pings from one server to another (XEP-0199), with each step: DNS answers, streams and their authentication, stanzas.

The server itself pings where its software can be asked to. A scripted server does so as a peer; on a server that reads
its accounts from a list, the first of them logs in and pings instead.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from xml.sax.saxutils import quoteattr

from lab.declarations.domains import a_labels
from lab.declarations.manifest import Accounts, StartedBy
from lab.errors import TimedOut, UserError
from lab.federation import Federation, administration
from lab.federation.people import PING, UNKNOWN_QUESTION
from lab.federation.servers import LinkHandle, ServerHandle
from lab.history.events import Event, ServerSaw
from lab.history.recorder import Recorder
from lab.lifecycle.accounts import read_view
from lab.lifecycle.lab import Lab
from lab.metrics.jids import strip_resource
from lab.runner.traces import LiveTrace, TraceLine, add_person

NO_ANSWER = administration.NO_ANSWER
RESOURCE = "xmpplab-ping"


@dataclass(frozen=True)
class Ping:
    """One ping and its answer."""

    number: int  # from 1
    at: float  # when it was sent, seconds since the epoch
    seconds: float  # until its answer, or until it was given up
    condition: str = ""  # of the stanza error that was the answer (RFC 6120 section 8.3.3); "no-answer" without one
    text: str = ""  # of that error

    @property
    def answered(self) -> bool:
        """Whether the other server has answered, if only that it does not know pings (XEP-0199 section 4.3)."""
        return self.condition in ("", *UNKNOWN_QUESTION)


@dataclass(frozen=True)
class PingSeries:
    """All pings of one server to one domain."""

    source: str  # the server's domain
    target: str  # a domain
    by: str  # who pinged: "server", "script", or the bare JID of an account
    link: LinkHandle
    pings: tuple[Ping, ...]

    @property
    def answered(self) -> tuple[Ping, ...]:
        """Those that were answered."""
        return tuple(one for one in self.pings if one.answered)

    @property
    def milliseconds(self) -> dict[str, float]:
        """Shortest, median and longest round trip; {} without any."""
        found = [one.seconds * 1000 for one in self.answered]
        return {"min": min(found), "median": median(found), "max": max(found)} if found else {}


Pinger = Callable[[float], Awaitable[administration.Pong]]


async def ping(
    lab: Lab, source: str, target: str, *, count: int, interval: float, within: float, show: Callable[[TraceLine], None]
) -> PingSeries:
    """Ping `target` from `source` (names or domains; `target` also a host such as conference.b.test) `count` times.

    `interval` is in seconds, from one ping to the next, which waits for the answer or until `within` seconds, and what
    slow links need, have passed. Each step is shown as it happens. Raises UserError for who is no server of the lab, or
    one and the same, or has no way to ping.
    """
    view = read_view(lab.layout)
    name, (other, domain) = view.find_server(source).name, _find_host(lab, target)
    if name == other:
        raise UserError(f"{source} and {target} are one server: name two")
    with tempfile.TemporaryDirectory(prefix="xmpplab-") as folder, Recorder(Path(folder) / "history.jsonl") as history:
        async with Federation(lab, history) as federation:
            ends = federation.server(name), federation.server(other)
            limit = within + federation.context.allowance(name, other)
            async with _answering(ends[1]), _pinging(federation, *ends, domain) as (by, ask):
                trace = _PingTrace(federation, ends, by if "@" in by else ends[0].domain, domain, show)
                async with trace.showing():
                    pings = await _repeat(ask, trace, count, interval, limit)
                    await federation.catch_up()
            return PingSeries(ends[0].domain, domain, by, federation.link(*ends), pings)


def _find_host(lab: Lab, word: str) -> tuple[str, str]:
    """The server that such a word means, and the domain that is pinged. Raises UserError."""
    view = read_view(lab.layout)
    wanted = a_labels(word.lower().rstrip("."))
    for server in view.servers:
        if wanted in server.hosts[1:]:
            return server.name, word.lower().rstrip(".")
    server = view.find_server(word)
    return server.name, server.domain


@asynccontextmanager
async def _answering(server: ServerHandle) -> AsyncIterator[None]:
    """A server that is a script listens for the length of the block, and answers; every other one does so anyway."""
    async with AsyncExitStack() as stack:
        if server.spec.manifest.started_by is StartedBy.SCRIPT:
            await stack.enter_async_context(server.peer())
        yield


@asynccontextmanager
async def _pinging(
    federation: Federation, server: ServerHandle, other: ServerHandle, domain: str
) -> AsyncIterator[tuple[str, Pinger]]:
    """Who pings, and how, for the length of the block. Raises UserError if nobody there can."""
    if server.spec.manifest.started_by is StartedBy.SCRIPT:
        async with server.peer() as peer:
            yield "script", _measure(lambda within: peer.ping(other, within))
        return
    if administration.can_ping(federation.context, server.name):
        yield "server", lambda within: administration.ping(federation.context, server.name, domain, within)
        return
    if server.spec.manifest.accounts is Accounts.NONE or not server.spec.users:
        raise UserError(
            f"{server.name} ({server.spec.software}) cannot be asked to ping, and has no account that could: ping it "
            f"from the other side, or give it `users:` if it reads them"
        )
    person = await add_person(federation, f"user1@{server.name}")
    device = await person.add_device(RESOURCE)
    iq = f"<iq type='get' to={quoteattr(domain)}><ping xmlns='{PING}'/></iq>"

    async def ask(within: float) -> administration.Pong:
        began, at = time.monotonic(), time.time()
        answer = await device.iq(iq, within)
        return administration.Pong(at, time.monotonic() - began, answer.condition or "", "")

    yield person.jid, _measure(ask)


def _measure(ask: Callable[[float], Awaitable[administration.Pong | float]]) -> Pinger:
    """A way to ping that says itself how long it took, or ends with TimedOut."""

    async def measured(within: float) -> administration.Pong:
        at, began = time.time(), time.monotonic()
        try:
            found = await ask(within)
        except TimedOut:
            return administration.Pong(at, time.monotonic() - began, NO_ANSWER, "")
        return administration.Pong(at, found, "", "") if isinstance(found, float) else found

    return measured


async def _repeat(ask: Pinger, trace: _PingTrace, count: int, interval: float, within: float) -> tuple[Ping, ...]:
    pings = list[Ping]()
    for number in range(1, count + 1):
        began = time.monotonic()
        trace.add_question(number)
        pong = await ask(within)
        pings.append(Ping(number, pong.at, pong.seconds, pong.condition, pong.text))
        trace.add_answer(pings[-1])
        if number < count:
            await asyncio.sleep(began + interval - time.monotonic())
    return tuple(pings)


class _PingTrace(LiveTrace):
    """The events of pings."""

    def __init__(
        self,
        federation: Federation,
        servers: tuple[ServerHandle, ServerHandle],
        asker: str,
        target: str,
        show: Callable[[TraceLine], None],
    ) -> None:
        """`asker` is a domain or a bare JID."""
        super().__init__(federation, servers, show)
        self._asker, self._target = asker, target

    def add_question(self, number: int) -> None:
        """Add the line of a ping that begins now."""
        now = time.time()
        self.begin(now)
        self.add_line(now, self._describe_question(number))

    def add_answer(self, one: Ping) -> None:
        """Add the line of a ping that has come to its end."""
        self.correct_beginning(one.at, self._describe_question(one.number))  # the server was asked a little before
        took = f"{one.seconds * 1000:.1f} ms"
        if one.answered:
            said = f"answers after {took}" + (f" (with {one.condition})" if one.condition else "")
        elif one.condition == NO_ANSWER:
            said = f"has not answered after {took}"
        else:
            said = f"is not reached: {one.condition} after {took}" + (f" ({one.text})" if one.text else "")
        self.add_line(one.at + one.seconds, f"ping {one.number}: {self._target} {said}")

    def _describe_question(self, number: int) -> str:
        return f"ping {number}: {self._asker} asks {self._target}"

    def describe(self, event: Event) -> str:
        """What an event says of a ping or of its way, "" if nothing."""
        if not isinstance(event, ServerSaw):
            return super().describe(event)
        ends = {strip_resource(event.sender or ""), strip_resource(event.receiver or "")}
        if event.name != "iq" or ends != {self._asker, self._target}:
            return ""
        how = "receives from" if event.direction == "in" else "passes on to"
        what = {"get": "the ping", "result": "the answer"}.get(event.type or "", "an error")
        return f"{event.server} {how} {event.peer or event.stream}: {what}, {event.size} B"
