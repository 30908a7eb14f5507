"""Convergence: once the last fault is healed and every server runs, all agree again within WITHIN.

Compared are presence (who sees whom available, RFC 6121 section 4), rosters (as `roster` does) and occupants of rooms
(as `rooms` does). Judged is what was read last, so that agreement may have come sooner; what differs less than WITHIN
after the healing is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lab.checks import rooms, roster
from lab.checks.verdict import Finding, Value, Verdict, build_verdict, pluralize
from lab.history.events import DeviceSaw, Disconnected, Event, FaultHealed, OccupantsRead, RosterRead
from lab.metrics.contacts import find_contacts
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord
from lab.topology.allowance import largest_allowance

NAME = "convergence"
#: Seconds after healing, beside what slow links need: servers dial again within seconds, and then tell what changed.
WITHIN = 60.0

View = tuple[str, str, bool, bool]  # a device, one of a contact's, whether it sees that available, whether it is


def check(record: RunRecord) -> Verdict:
    """Judge what devices, rosters and rooms say of each other after the last fault."""
    healed = max((one.at for one in record.of(FaultHealed) if not one.error), default=None)
    read = record.events[place].at if (place := _last_reading(record)) is not None else 0.0
    nothing = "No fault was healed after which rosters or rooms were read."
    if healed is None or read < healed:
        return build_verdict(NAME, 0, (), "", nothing)
    views = list(_views(record))
    parts = [one for one in (roster.check(record), rooms.check(record)) if one.judged]
    judged = len(views) + sum(one.judged for one in parts)
    found = find_stale_presence(record)
    found += [replace(one, check=part.check) for part in parts for one in part.findings]
    took, limit = read - healed, get_limit(record)
    good = f"All agree {took:.1f} s after the last fault was healed, or sooner ({pluralize(judged, 'comparison')})."
    servers = [name for part in parts for name in part.servers]
    return build_verdict(NAME, judged, [_dated(one, took, limit) for one in found], good, nothing, servers)


def get_limit(record: RunRecord) -> float:
    """Seconds after healing within which all must agree."""
    return WITHIN + largest_allowance(record.topology)


def find_stale_presence(record: RunRecord) -> list[Finding]:
    """Where a device sees another one otherwise than it is, by the subscriptions of both rosters."""
    return [_presence(record, view) for view in _views(record) if view[2] != view[3]]


def _views(record: RunRecord) -> Iterator[View]:
    """Who must see whom when rosters and rooms were read last: later all log out."""
    end = _last_reading(record) or 0
    last = _last_presences(record.events[:end])
    for contact in find_contacts(record):
        if not (contact.sees and contact.seen):
            continue
        for device in _devices(record, contact.person):
            if record.availability.priority(device, end) is None:
                continue
            for other in _devices(record, contact.other):
                there = record.availability.priority(other, end) is not None
                yield device, other, last.get((device, other), False), there


def _last_reading(record: RunRecord) -> int | None:
    """The place of the last reading of a roster or a room; None if none was read."""
    places = (place for kind in (RosterRead, OccupantsRead) for place, _ in record.indexed(kind))
    return max(places, default=None)


def _devices(record: RunRecord, person: str) -> list[str]:
    return [device for device in record.encryptions if strip_resource(device) == person]


def _last_presences(events: Sequence[Event]) -> dict[tuple[str, str], bool]:
    """Whether the last presence that a device received of another one, on its present stream, said "available"."""
    last: dict[tuple[str, str], bool] = {}
    for one in events:
        if isinstance(one, Disconnected):
            last = {pair: seen for pair, seen in last.items() if pair[0] != one.device}
        elif isinstance(one, DeviceSaw) and (one.name, one.direction) == ("presence", "in") and one.sender:
            if one.type is None:
                last[one.device, one.sender] = True
            elif one.type == "unavailable":  # of a bare JID: all devices of that person
                for pair in [*last, (one.device, one.sender)]:
                    if pair[0] == one.device and one.sender in (pair[1], strip_resource(pair[1])):
                        last[pair] = False
    return last


def _presence(record: RunRecord, view: View) -> Finding:
    device, other, seen, there = view
    ends = (record.server_of(other), record.server_of(device))
    servers = tuple(dict.fromkeys(server.name for server in ends if server))
    words = ("unavailable", "available")
    text = f"Presence ({' - '.join(servers)}): {device} sees {other} {words[seen]}, and it is {words[there]}."
    return Finding(Value.FAILED, text, None, servers)


def _dated(finding: Finding, took: float, limit: float) -> Finding:
    """The finding with its time after healing; within the limit it may still come right."""
    text = f"{took:.0f} s after the last fault was healed: {finding.sentence}"
    if took >= limit or finding.value is not Value.FAILED:
        return replace(finding, sentence=text)
    return replace(finding, sentence=f"{text} {limit:.0f} s may pass.", value=Value.UNKNOWN)
