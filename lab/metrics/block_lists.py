"""Who had blocked whom when (XEP-0191): a message between two of whom one has blocked the other is for nobody."""

from __future__ import annotations

from collections.abc import Iterable

from lab.history.events import Blocked, Event, Sent, Unblocked
from lab.metrics.jids import strip_resource


class BlockLists:
    """The block lists of everyone in a history."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._changes = [(place, event) for place, event in enumerate(events) if isinstance(event, Blocked | Unblocked)]

    def stops(self, sent: Sent, index: int) -> bool:
        """Whether, at this place, its receiver had blocked its sender, or its sender its receiver."""
        return any(self._holds(person, other, index) for person, other in _ways(sent))

    def changed(self, sent: Sent, index: int) -> bool:
        """Whether one of the two blocked or unblocked the other after this place."""
        return any(
            place > index and event.person == strip_resource(person) and matches(event.jid, other)
            for place, event in self._changes
            for person, other in _ways(sent)
        )

    def _holds(self, person: str, other: str, index: int) -> bool:
        listed: set[str] = set()
        for place, event in self._changes:
            if place < index and event.person == strip_resource(person):
                (listed.add if isinstance(event, Blocked) else listed.discard)(event.jid)
        return any(matches(one, other) for one in listed)


def _ways(sent: Sent) -> tuple[tuple[str, str], tuple[str, str]]:
    return (sent.receiver, sent.sender), (sent.sender, sent.receiver)


def matches(blocked: str, jid: str) -> bool:
    """Whether an entry of a block list is about a JID (XEP-0191 section 3.1): a full or bare one, or a domain."""
    domain = strip_resource(jid).rpartition("@")[2]
    resource = jid.partition("/")[2]
    return blocked in {jid, strip_resource(jid), domain, *({f"{domain}/{resource}"} if resource else ())}
