"""One message from one person to another, and each hop of it: DNS answers, streams, what each server could read."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.clients.encryption import check_choice
from lab.errors import LabError, UserError
from lab.federation import Federation
from lab.federation.devices import ask
from lab.federation.messages import Message
from lab.federation.outcomes import Outcome
from lab.federation.people import Person
from lab.history.events import Bounced, Decrypted, Delivered, Event, NotDecrypted, Sent, ServerSaw, ServerStreamOpened
from lab.history.recorder import Recorder
from lab.lifecycle.lab import Lab
from lab.metrics.jids import strip_resource
from lab.metrics.stanza_content import describe_content, read_body
from lab.runner.traces import LiveTrace, TraceLine, add_person

RESOURCE = "xmpplab"
#: Seconds, and the allowance of the route, that a stanza may be under way between two servers once all is settled.
_COMPLETE_DEADLINE = 5.0
_POLL = 0.1  # seconds between two looks at what servers have reported
_PING = "<ping xmlns='urn:xmpp:ping'/>"  # XEP-0199


@dataclass(frozen=True)
class TraceResult:
    """What became of the message."""

    message: Message
    outcome: Outcome

    @property
    def as_promised(self) -> bool:
        """Whether the outcome is what the route between the two servers promises."""
        return self.message.promise.matches(self.outcome)


async def send(
    lab: Lab, sender: str, receiver: str, text: str, encryption: str, show: Callable[[str], None]
) -> TraceResult:
    """Log two people in (alice@a, bob@b), who get accounts if they have none, and let one write to the other.

    Each hop is shown as it happens. Returns once the outcome is settled, or its deadline is over. Raises UserError for
    who is no person of the lab, or one and the same; PeerError where a server refuses a login.
    """
    check_choice(encryption, "blind")
    with tempfile.TemporaryDirectory(prefix="xmpplab-") as folder, Recorder(Path(folder) / "history.jsonl") as history:
        async with Federation(lab, history) as federation:
            one, other = [await add_person(federation, word, encryption) for word in (sender, receiver)]
            if one.jid == other.jid:
                raise UserError(f"{one} would write to themselves: name two people")
            trace = MessageTrace(federation, (one, other), text, lambda line: show(str(line)))
            async with trace.showing():
                for person in (other, one):
                    await person.add_device(RESOURCE)
                message = await one.send(other, text)
                outcome = await message.outcome()
                await _complete(federation, trace, (other, one), _COMPLETE_DEADLINE + message.allowance())
    return TraceResult(message, outcome)


async def _complete(federation: Federation, trace: MessageTrace, people: Sequence[Person], within: float) -> None:
    """Return once what both devices have written was handled by all servers, as what OMEMO answers by itself.

    A server handles the stanzas of a stream in order (RFC 6120 section 10.1), so that it has seen what was written
    before a ping when it answers that.
    """
    try:
        async with asyncio.timeout(within):
            for person in people:
                await ask(person.device, "get", _PING, "ping")
                await federation.catch_up()
                while trace.on_the_way:
                    await asyncio.sleep(_POLL)
                    await federation.catch_up()
    except (LabError, TimeoutError) as error:  # the outcome is settled; what else there was may be lost
        trace.add_last(f"what followed is not known: {str(error) or f'no server has reported it in {within:g} s'}")


class MessageTrace(LiveTrace):
    """The events of a message with this text from one's device to the other's, and what these answer by themselves.

    Other clients of the two, and what had waited for them, are not shown.
    """

    def __init__(
        self, federation: Federation, people: Sequence[Person], text: str, show: Callable[[TraceLine], None]
    ) -> None:
        super().__init__(federation, [one.server for one in people], show)
        self._people = {one.jid for one in people}
        self._devices = {f"{one.jid}/{RESOURCE}" for one in people}
        self._text = text
        self._sent: Sent | None = None
        self._passed: Counter[tuple[str | None, ...]] = Counter()  # times that a stanza left a server, less arrivals

    @property
    def on_the_way(self) -> bool:
        """Whether there is a stanza that one server has sent, and the other one has not reported."""
        return any(count > 0 for count in self._passed.values())

    def describe(self, event: Event) -> str:
        """What an event says of the message or of its way, "" if nothing."""
        match event:
            case ServerStreamOpened(stream="c2s") if event.peer in self._devices:
                return f"{event.peer} logs in at {event.server}: {event.tls or 'no TLS'}, {event.authentication}"
            case Sent():
                self._sent = event
                self.begin(event.at)
                return f"{event.sender} writes to {event.receiver}"
            case ServerSaw():
                return self._describe_hop(event)
            case Delivered() | Decrypted() | NotDecrypted() | Bounced() if not self._is_it(event.message):
                return ""
            case Delivered():
                return f"{event.device} receives it" + (f" ({event.via})" if event.via != "live" else "")
            case Decrypted():
                return f"{event.device} decrypts it ({event.encryption}, trust in the key: {event.trust or 'unknown'})"
            case NotDecrypted():
                return f"{event.device} cannot decrypt it: {event.reason}"
            case Bounced():
                return f"{event.device} is told by {event.by}: {event.condition}"
        return super().describe(event)

    def _is_it(self, message: str) -> bool:
        return self._sent is not None and message == self._sent.message

    def _describe_hop(self, event: ServerSaw) -> str:
        sender, receiver = event.sender or event.peer or "", event.receiver or ""
        own = receiver if event.type == "error" else sender  # an error names whom it is about, and who is told
        between = own in self._devices and {strip_resource(sender), strip_resource(receiver)} == self._people
        before = self._sent is None or event.at < self._sent.at
        if event.name != "message" or not between or before:
            return ""
        self._follow(event)
        how = "receives from" if event.direction == "in" else "passes on to"
        return f"{event.server} {how} {event.peer or event.stream}: {describe_reading(event, self._text)}"

    def _follow(self, event: ServerSaw) -> None:
        """Note what is on its way from server to server, or has arrived there: the latter may be read first."""
        if event.stream == "s2s":
            to = event.peer if event.direction == "out" else self._servers.get(event.server)
            self._passed[to, event.id, event.sender, event.receiver] += 1 if event.direction == "out" else -1


def describe_reading(event: ServerSaw, text: str) -> str:
    """What a server could read of a message: who, to whom, its size, and its text or that it is encrypted.

    `text` is what was written: where it stands in the clear beside its encryption, the server could read it.
    """
    content = describe_content(event)
    if event.type == "error":
        return f"an error, {content}"
    if event.encryption:
        read = f"the text {text!r} beside" if read_body(event) == text else "not the text"
        return f"who, to whom, {event.size} B, {read} {content}"
    if event.stanza is None:
        return f"{event.size} B (a `meta` feed does not tell the text)"
    return f"who, to whom, {event.size} B, {'the text' if event.body else 'without a text'} {content}".rstrip()
