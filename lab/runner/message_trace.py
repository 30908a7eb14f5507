"""One message from one person to another, and each hop of it: DNS answers, streams, what each server could read.

Events of the servers are read a few times a second; they are shown in the order of time, half a second late.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.clients.encryption import check_choice
from lab.errors import UserError
from lab.federation import Federation
from lab.federation.jids import prepare_localpart
from lab.federation.messages import Message
from lab.federation.outcomes import Outcome
from lab.federation.people import Person
from lab.history.events import (
    Bounced,
    Decrypted,
    Delivered,
    DnsAnswered,
    Event,
    NotDecrypted,
    Sent,
    ServerSaw,
    ServerStreamOpened,
)
from lab.history.recorder import Recorder
from lab.lifecycle.accounts import create_account, exists, find_account, read_view
from lab.lifecycle.lab import Lab
from lab.metrics.jids import strip_resource
from lab.metrics.stanza_content import describe_content

RESOURCE = "xmpplab"
_LATE = 0.5  # seconds after which an event is shown: what happened before it has been read by then

Show = Callable[[str], None]


@dataclass(frozen=True)
class TraceResult:
    """What became of the message."""

    message: Message
    outcome: Outcome

    @property
    def as_promised(self) -> bool:
        """Whether the outcome is what the route between the two servers promises."""
        return self.message.promise.matches(self.outcome)


async def send(lab: Lab, sender: str, receiver: str, text: str, encryption: str, show: Show) -> TraceResult:
    """Log two people in (alice@a, bob@b), who get accounts if they have none, and let one write to the other.

    Each hop is shown as it happens. Returns once the outcome is settled, or its deadline is over. Raises UserError for
    who is no person of the lab, or one and the same; PeerError where a server refuses a login.
    """
    check_choice(encryption, "blind")
    with tempfile.TemporaryDirectory(prefix="xmpplab-") as folder, Recorder(Path(folder) / "history.jsonl") as history:
        async with Federation(lab, history) as federation:
            one, other = [await _add_person(federation, word, encryption) for word in (sender, receiver)]
            if one.jid == other.jid:
                raise UserError(f"{one} would write to themselves: name two people")
            trace = _Trace(federation, (one, other), show)
            end = history.on_event(trace.add)
            for event in history.events:
                trace.add(event)
            showing = asyncio.create_task(trace.run())
            try:
                for person in (other, one):
                    await person.add_device(RESOURCE)
                message = await one.send(other, text)
                outcome = await message.outcome()
                await federation.catch_up()
            finally:
                end()
                showing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await showing
            trace.flush()
    return TraceResult(message, outcome)


async def _add_person(federation: Federation, word: str, encryption: str) -> Person:
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


class _Trace:
    """The events of a message, waiting to be shown in the order of time."""

    def __init__(self, federation: Federation, people: Sequence[Person], show: Show) -> None:
        self._history, self._show = federation.history, show
        self._people = {one.jid for one in people}
        self._servers = {one.server.name: one.server.domain for one in people}
        self._waiting: list[tuple[float, str]] = []
        self._began = self._history.now()
        self._sent: float | None = None  # seconds since the epoch

    def add(self, event: Event) -> None:
        """Keep what belongs to the message until it is shown."""
        if isinstance(event, Sent) and not event.marker:
            self._sent = event.at
        if said := self._describe(event):
            self._waiting.append((event.at, said))

    async def run(self) -> None:
        """Show what has waited long enough, until cancelled."""
        while True:
            await asyncio.sleep(_LATE / 4)
            self.flush(self._history.now() - _LATE)

    def flush(self, until: float = float("inf")) -> None:
        """Show what happened until then."""
        self._waiting.sort(key=lambda one: one[0])
        while self._waiting and self._waiting[0][0] <= until:
            at, said = self._waiting.pop(0)
            after = "" if self._sent is None or at < self._sent else f"+{(at - self._sent) * 1000:.1f} ms"
            self._show(f"{after:>11}  {said}")

    def _describe(self, event: Event) -> str:
        match event:
            case ServerStreamOpened():
                return self._describe_stream(event)
            case DnsAnswered() if event.asker in self._servers and self._is_about_us(event.name):
                records = ", ".join(f"{kind} {value}" for kind, value in event.records) or event.rcode
                return f"{event.asker} asks for {event.type} {event.name}: {records}"
            case Sent():
                return f"{event.sender} writes to {event.receiver}"
            case ServerSaw():
                return self._describe_hop(event)
            case Delivered():
                return f"{event.device} receives it" + (f" ({event.via})" if event.via != "live" else "")
            case Decrypted():
                return f"{event.device} decrypts it ({event.encryption}, trust in the key: {event.trust or 'unknown'})"
            case NotDecrypted():
                return f"{event.device} cannot decrypt it: {event.reason}"
            case Bounced():
                return f"{event.device} is told by {event.by}: {event.condition}"
        return ""

    def _is_about_us(self, name: str) -> bool:
        return any(name.endswith(domain) for domain in self._servers.values())

    def _describe_stream(self, event: ServerStreamOpened) -> str:
        if event.stream == "c2s":
            if strip_resource(event.peer) not in self._people:
                return ""
            return f"{event.peer} logs in at {event.server}: {event.tls or 'no TLS'}, {event.authentication}"
        if event.server not in self._servers or event.peer not in self._servers.values():
            return ""
        before = event.at < self._began
        verb = (
            ("had accepted" if before else "accepts")
            if event.direction == "in"
            else ("had opened" if before else "opens")
        )
        way = f"{verb} a stream {'of' if event.direction == 'in' else 'to'} {event.peer}"
        return f"{event.server} {way}: {event.tls or 'no TLS'}, authenticated by {event.authentication}"

    def _describe_hop(self, event: ServerSaw) -> str:
        ends = {strip_resource(event.peer or event.sender or ""), strip_resource(event.receiver or "")}
        named = {strip_resource(event.sender or ""), *ends}
        if event.name != "message" or len(named & self._people) < min(2, len(self._people)):
            return ""
        how = "receives from" if event.direction == "in" else "passes on to"
        return f"{event.server} {how} {event.peer or event.stream}: {describe_reading(event)}"


def describe_reading(event: ServerSaw) -> str:
    """What a server could read of a message: who, to whom, its size, and its text or that it is encrypted."""
    content = describe_content(event)
    if event.type == "error":
        return f"an error, {content}"
    if event.encryption:
        return f"who, to whom, {event.size} B, not the text {content}"
    if event.stanza is None:
        return f"{event.size} B (a `meta` feed does not tell the text)"
    return f"who, to whom, {event.size} B, the text {content}" if content else f"{event.size} B, without a text"
