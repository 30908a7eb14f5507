"""Stanza IDs: nobody but an entity itself gives out ids in its name (XEP-0359, business rules).

A server that gives messages an id in the name of a receiver's account, or of a room, must take out of what it receives
every <stanza-id/> with that same name as `by`, or a sender chooses the id under which a client then knows the message.
Looked at are messages that bore such an element when that server received them, where a device received them and its
stanzas are recorded. A server that gives out no ids at all need not take any out: then nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from lab.checks.verdict import LONGEST_STANZA, Finding, Value, Verdict, build_verdict, pluralize, shorten
from lab.history.events import DeviceSaw, ServerSaw
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord

NAME = "stanza-ids"

_CLIENT = "jabber:client"
_ELEMENT = "{urn:xmpp:sid:0}stanza-id"
_MENTIONED = "stanza-id"


@dataclass(frozen=True)
class StanzaId:
    """One <stanza-id/> of a message."""

    message: str  # the message's own id
    by: str
    id: str


def check(record: RunRecord) -> Verdict:
    """Judge every message that bore an id in the name of its receiver's server, account or room."""
    forged = set(_forged(record))
    messages = {one.message for one in forged}
    received = [
        (event, ids, authorities)
        for event in record.of(DeviceSaw)
        if (event.direction, event.name) == ("in", "message") and event.type != "error" and event.id in messages
        for ids in [_ids(event.id, event.stanza)]
        for authorities in [_authorities(event)]
        if any(one.message == event.id and one.by in authorities for one in forged)
    ]
    findings = [finding for one in received for finding in _findings(record, forged, *one)]
    good = (
        f"{pluralize(len(received), 'message')} with an id in the receiver's name: the receiver's server took it out."
    )
    return build_verdict(NAME, len(received), findings, good, "No message bore an id in the name of its receiver.")


def _authorities(event: DeviceSaw) -> frozenset[str]:
    """In whose name the device's client believes an id: of its account, and of the room that a message is from."""
    room = {strip_resource(event.sender or "")} if event.type == "groupchat" else set()
    return frozenset({strip_resource(event.device), *room})


def _forged(record: RunRecord) -> Iterator[StanzaId]:
    """Ids that stood in messages before the server of the one whose name they bear had them."""
    for event in record.of(DeviceSaw):
        if event.direction == "out" and event.name == "message":
            yield from _ids(event.id, event.stanza)
    for seen in record.of(ServerSaw):
        if seen.name == "message" and seen.type != "error":
            for one in _ids(seen.id, seen.stanza):
                owner = record.find_server(one.by)
                if owner is not None and _before(record, seen, owner.name):
                    yield one


def _before(record: RunRecord, seen: ServerSaw, owner: str) -> bool:
    """Whether this was seen before the owner of a name had the message: on its way to that server, or into it."""
    if seen.direction == "in":
        return seen.server == owner
    receiver = record.find_server(seen.receiver)
    return seen.stream == "s2s" and seen.server != owner and receiver is not None and receiver.name == owner


def _findings(
    record: RunRecord, forged: set[StanzaId], event: DeviceSaw, ids: list[StanzaId], authorities: frozenset[str]
) -> Iterator[Finding]:
    for one in ids:
        if one not in forged or one.by not in authorities:
            continue
        owner = record.find_server(one.by)
        name = owner.name if owner else one.by
        what = f"Message {one.message} from {event.sender} reached {event.device} with the stanza id {one.id}, "
        what += f"which its sender chose in the name of {one.by}"
        quoted = (f"{event.device} {event.direction} c2s: {shorten(event.stanza, LONGEST_STANZA)}",)
        if one.by in _generators(record, forged):
            text, cause = f"{what}.", f"{name} leaves ids by others in its own name (XEP-0359)"
            yield Finding(Value.FAILED, text, one.message, (name,), cause, "", quoted)
        else:
            text = f"{what}; whether {name} gives out ids itself is not known."
            yield Finding(Value.UNKNOWN, text, one.message, (name,), "", "", quoted)


def _generators(record: RunRecord, forged: set[StanzaId]) -> set[str]:
    """In whose name a device received an id that no sender chose."""
    return {
        one.by
        for event in record.of(DeviceSaw)
        if event.direction == "in" and event.name == "message"
        for one in _ids(event.id, event.stanza)
        if one not in forged
    }


def _ids(message: str | None, stanza: str | None) -> list[StanzaId]:
    """The ids of a message, of its direct children only: a forwarded message has its own."""
    if not stanza or _MENTIONED not in stanza:
        return []
    try:
        root = ET.fromstring(f"<x xmlns='{_CLIENT}'>{stanza}</x>")  # noqa: S314 - of a lab's own server or device
    except ET.ParseError:
        return []
    found = [element for outer in root for element in outer.findall(_ELEMENT)]
    return [StanzaId(message or "", strip_resource(element.get("by", "")), element.get("id", "")) for element in found]
