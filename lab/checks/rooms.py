"""Rooms: every occupant's list equals the host's, and nobody is on it who is gone: no ghosts (XEP-0045 section 18.1.2).

Judged is the last reading of each list, which settle() makes at the end. Of occupants that are not the lab's nothing is
known but their names on the lists.
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.checks.verdict import Finding, Value, Verdict, build_verdict, pluralize
from lab.history.events import OccupantsRead, RoomJoined, RoomLeft
from lab.metrics.record import RunRecord

NAME = "rooms"


def check(record: RunRecord) -> Verdict:
    """Judge the lists of every room whose own list was read."""
    judged = {room: views for room, views in _read_last(record).items() if room in views}
    findings = [finding for room, views in judged.items() for finding in _room(record, room, views)]
    count = sum(len(views) - 1 for views in judged.values())
    good = f"{pluralize(len(judged), 'room')}: the lists of {pluralize(count, 'occupant')} equal the host's."
    hosts = [server.name for room in judged if (server := record.find_server(room))]
    return build_verdict(NAME, len(judged), findings, good, "No room's own list of occupants was read.", hosts)


def _read_last(record: RunRecord) -> dict[str, dict[str, frozenset[str]]]:
    """The lists of the last reading of each room, by reader; the room's own, which is read last, under the room."""
    open_readings: dict[str, dict[str, frozenset[str]]] = {}
    complete: dict[str, dict[str, frozenset[str]]] = {}
    for one in record.of(OccupantsRead):
        open_readings.setdefault(one.room, {})[one.reader] = frozenset(one.occupants)
        if one.reader == one.room:
            complete[one.room] = open_readings.pop(one.room)
    return complete


def _room(record: RunRecord, room: str, views: dict[str, frozenset[str]]) -> Iterator[Finding]:
    host, (inside, gone) = views[room], _members(record, room)
    for nick in sorted(gone & host):
        yield _finding(record, room, f"{nick} is gone and still on the host's list: a ghost")
    for nick in sorted(inside - host):
        yield _finding(record, room, f"{nick} has joined and is not on the host's list")
    for reader, view in views.items():
        differences = (("misses", host - view), ("has besides", view - host))
        parts = [f"{what} {', '.join(sorted(names))}" for what, names in differences if names]
        if parts:
            yield _finding(record, room, f"the list of {reader} {' and '.join(parts)}", reader)


def _members(record: RunRecord, room: str) -> tuple[frozenset[str], frozenset[str]]:
    """The full room JIDs of the lab's devices that were in a room when it was read, and of those that had left it."""
    read = max(place for place, one in record.indexed(OccupantsRead) if one.room == one.reader == room)
    nicks: dict[str, str] = {}
    inside: dict[str, bool] = {}
    for one in record.events[:read]:
        if isinstance(one, RoomJoined) and one.room == room:
            nicks[one.device], inside[one.device] = f"{room}/{one.nick}", True
        elif isinstance(one, RoomLeft) and one.room == room:
            inside[one.device] = False
    there = frozenset(nick for device, nick in nicks.items() if inside[device])
    return there, frozenset(nicks.values()) - there


def _finding(record: RunRecord, room: str, what: str, reader: str = "") -> Finding:
    ends = (record.find_server(room), record.find_server(reader))
    servers = tuple(dict.fromkeys(server.name for server in ends if server))
    text = f"Room {room} ({' - '.join(servers)}): {what}."
    return Finding(Value.FAILED, text, None, servers, server=servers[0] if servers else "")
