"""Convergence: once the last fault is healed and every server runs, all agree again within WITHIN.

Compared are presence (who sees whom available, RFC 6121 section 4), rosters (as `roster` does), occupants of rooms (as
`rooms` does), archives (XEP-0313: what was delivered and one person's archive holds is in the other's, too) and OMEMO
device lists (XEP-0384: contacts read what the own server holds). Judged is what was read last, so that agreement may
have come sooner; what differs less than WITHIN after the healing is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lab.checks import rooms, roster
from lab.checks.verdict import Finding, Value, Verdict, build_verdict, pluralize
from lab.history.events import (
    ArchiveRead,
    DeviceListRead,
    DeviceSaw,
    Disconnected,
    Event,
    FaultHealed,
    OccupantsRead,
    RosterRead,
)
from lab.metrics.archives import ArchivedCopies, compare_archives
from lab.metrics.contacts import find_contacts
from lab.metrics.device_lists import DeviceLists, compare_device_lists
from lab.metrics.jids import strip_resource
from lab.metrics.record import RunRecord
from lab.topology.allowance import largest_allowance

NAME = "convergence"
#: Seconds after healing, beside what slow links need: servers dial again within seconds, and then tell what changed.
WITHIN = 60.0
READINGS = (RosterRead, OccupantsRead, ArchiveRead, DeviceListRead)

View = tuple[str, str, bool, bool]  # a device, one of a contact's, whether it sees that available, whether it is


def check(record: RunRecord) -> Verdict:
    """Judge what devices, rosters, rooms, archives and device lists say of each other after the last fault."""
    healed = max((one.at for one in record.of(FaultHealed) if not one.error), default=None)
    nothing = "No fault was healed after which rosters, rooms, archives or device lists were compared."
    read = {} if healed is None else {kind: at for kind in READINGS if (at := _read_at(record, kind)) >= healed}
    if healed is None or not read:
        return build_verdict(NAME, 0, (), "", nothing)
    views = list(_views(record)) if read.keys() & {RosterRead, OccupantsRead} else []
    parts = [one.check(record) for kind, one in ((RosterRead, roster), (OccupantsRead, rooms)) if kind in read]
    parts = [one for one in parts if one.judged]
    copies, lists = list(compare_archives(record, healed)), list(compare_device_lists(record, healed))
    judged = len(views) + sum(one.judged for one in parts) + len(copies) + len(lists)
    found = [_presence(record, view) for view in views if view[2] != view[3]]
    found += [replace(one, check=part.check) for part in parts for one in part.findings]
    found += find_different_copies(record, healed)
    took, limit = max(read.values()) - healed, get_limit(record)
    good = f"All agree {took:.1f} s after the last fault was healed, or sooner ({pluralize(judged, 'comparison')})."
    servers = [name for part in parts for name in part.servers]
    servers += [name for one in copies for name in _names(record, *one.holding, *one.lacking)]
    servers += [name for one in lists for name in _names(record, one.reader, one.owner)]
    findings = [_dated(one, took, limit) for one in found]
    return build_verdict(NAME, judged, findings, good, nothing, list(dict.fromkeys(servers)))


def get_limit(record: RunRecord) -> float:
    """Seconds after healing within which all must agree."""
    return WITHIN + largest_allowance(record.topology)


def find_stale_presence(record: RunRecord) -> list[Finding]:
    """Where a device sees another one otherwise than it is, by the subscriptions of both rosters."""
    return [_presence(record, view) for view in _views(record) if view[2] != view[3]]


def find_different_copies(record: RunRecord, since: float) -> list[Finding]:
    """Where archives or device lists differ, by what was read last, not before `since` (seconds since the epoch)."""
    found = [_archive(record, one, jid) for one in compare_archives(record, since) for jid in one.lacking]
    return found + [_device_list(record, one) for one in compare_device_lists(record, since) if not one.agree]


def _read_at(record: RunRecord, kind: type[Event]) -> float:
    """When something of a kind was read last, -1 for never."""
    return max((one.at for one in record.of(kind)), default=-1.0)


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
    servers = _names(record, other, device)
    words = ("unavailable", "available")
    text = f"Presence ({' - '.join(servers)}): {device} sees {other} {words[seen]}, and it is {words[there]}."
    return Finding(Value.FAILED, text, None, servers)


def _archive(record: RunRecord, copies: ArchivedCopies, jid: str) -> Finding:
    """One archive that lacks a message: another one holds it, or the room has delivered it."""
    sent, servers = copies.sent, record.path(copies.sent)
    reason = f"the archive of {copies.holding[0]} holds it" if copies.holding else "the room has delivered it"
    text = f"Archives ({' - '.join(servers)}): the archive of {jid} lacks the message {sent.message} from {sent.sender}"
    (at,) = _names(record, jid)
    return Finding(Value.FAILED, f"{text} to {sent.receiver}, and {reason}.", sent.message, servers, server=at)


def _device_list(record: RunRecord, lists: DeviceLists) -> Finding:
    servers = _names(record, lists.reader, lists.owner)
    read, held = (", ".join(map(str, sorted(ids))) or "no device" for ids in (lists.read, lists.held))
    text = f"Device lists ({' - '.join(servers)}): {lists.reader} reads {read} of {lists.owner}"
    return Finding(Value.FAILED, f"{text}, whose own server holds {held}.", None, servers)


def _names(record: RunRecord, *jids: str) -> tuple[str, ...]:
    """Names of the servers that answer for JIDs, each once."""
    servers = (record.find_server(jid) for jid in jids)
    return tuple(dict.fromkeys(server.name for server in servers if server))


def _dated(finding: Finding, took: float, limit: float) -> Finding:
    """The finding with its time after healing; within the limit it may still come right."""
    text = f"{took:.0f} s after the last fault was healed: {finding.sentence}"
    if took >= limit or finding.value is not Value.FAILED:
        return replace(finding, sentence=text)
    return replace(finding, sentence=f"{text} {limit:.0f} s may pass.", value=Value.UNKNOWN)
