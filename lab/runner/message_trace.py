"""One message from one person to another, and each hop of it: DNS answers, streams, what each server could read."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.clients.encryption import check_choice
from lab.errors import UserError
from lab.federation import Federation
from lab.federation.messages import Message
from lab.federation.outcomes import Outcome
from lab.federation.people import Person
from lab.history.events import Bounced, Decrypted, Delivered, Event, NotDecrypted, Sent, ServerSaw, ServerStreamOpened
from lab.history.recorder import Recorder
from lab.lifecycle.lab import Lab
from lab.metrics.jids import strip_resource
from lab.metrics.stanza_content import describe_content
from lab.runner.traces import LiveTrace, TraceLine, add_person

RESOURCE = "xmpplab"


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
            async with _MessageTrace(federation, (one, other), lambda line: show(str(line))).showing():
                for person in (other, one):
                    await person.add_device(RESOURCE)
                message = await one.send(other, text)
                outcome = await message.outcome()
                await federation.catch_up()
    return TraceResult(message, outcome)


class _MessageTrace(LiveTrace):
    """The events of a message."""

    def __init__(self, federation: Federation, people: Sequence[Person], show: Callable[[TraceLine], None]) -> None:
        super().__init__(federation, [one.server for one in people], show)
        self._people = {one.jid for one in people}

    def describe(self, event: Event) -> str:
        """What an event says of the message or of its way, "" if nothing."""
        match event:
            case ServerStreamOpened(stream="c2s") if strip_resource(event.peer) in self._people:
                return f"{event.peer} logs in at {event.server}: {event.tls or 'no TLS'}, {event.authentication}"
            case Sent():
                if not event.marker:
                    self.begin(event.at)
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
        return super().describe(event)

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
