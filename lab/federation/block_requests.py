"""Block lists that change by stanzas: a script's raw ones, or those of a client of a person's own (XEP-0191).

A request counts once its result was received by the client that made it: its server has accepted it then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from lab.federation.people import BLOCKING, Person
from lab.history.events import ServerSaw

#: Requests whose answer is awaited at once; of a client that gets none, the oldest are forgotten.
MOST = 1000


@dataclass(frozen=True)
class Change:
    """What a stanza asks a server to change."""

    block: bool  # False: unblock
    jids: tuple[str, ...]  # () with `block` False: everybody (XEP-0191 section 3.5)


class BlockRequests:
    """The requests of all clients that wait for their answers; `person_of` finds the person of a JID, if any."""

    def __init__(self, person_of: Callable[[str], Person | None]) -> None:
        self._person_of = person_of
        self._asked: dict[tuple[str, str], Change] = {}

    def on_sent(self, client: str, stanza: str) -> None:
        """A client (a full JID) wrote this stanza."""
        if BLOCKING not in stanza or (change := read_change(stanza)) is None:
            return
        number, found = change
        self._asked[client, number] = found
        while len(self._asked) > MOST:
            del self._asked[next(iter(self._asked))]

    def on_answered(self, client: str, number: str | None, kind: str | None) -> None:
        """A client received an IQ of this id and type."""
        change = self._asked.pop((client, number or ""), None) if kind in ("result", "error") else None
        person = self._person_of(client.partition("/")[0])
        if change is None or person is None or kind != "result":
            return
        for jid in change.jids if change.jids or change.block else sorted(person.blocked):
            person.change_block_list(jid, blocked=change.block)

    def on_seen(self, event: ServerSaw) -> None:
        """A server handled an IQ of a client on its stream."""
        if event.direction == "in":
            self.on_sent(event.peer or event.sender or "", event.stanza or "")
        else:
            self.on_answered(event.peer or event.receiver or "", event.id, event.type)


def read_change(stanza: str) -> tuple[str, Change] | None:
    """The id of a request that changes a block list, and the change; None of any other stanza."""
    try:
        iq = ET.fromstring(stanza)  # noqa: S314 - of a lab's own server or script
    except ET.ParseError:
        return None
    if iq.tag.rpartition("}")[2] != "iq" or iq.get("type") != "set":
        return None
    for name in ("block", "unblock"):
        if (asked := iq.find(f"{{{BLOCKING}}}{name}")) is not None:
            jids = tuple(item.get("jid", "") for item in asked.iter(f"{{{BLOCKING}}}item"))
            return iq.get("id", ""), Change(name == "block", jids)
    return None
