"""The stanzas of a run as a log for ShiViz: each place that one was observed at is an event with its vector clock.

ShiViz reads two lines for each event, by its default expression: what happened, then the host and the clock as JSON.
What happens before (L. Lamport, 1978) is the order at each place, the way of a stanza from place to place, and what a
stanza answers, repeats or tells of. So of two events without an order the clocks have none either, whatever the times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lab.checks import Judgement
from lab.metrics.record import RunRecord
from lab.report.space_time import FAILED, UNKNOWN, SpaceTime, StanzaLine, describe_kind
from lab.system.terminal import escape_unprintable

EVENTS = 10_000  # ShiViz draws them all at once, in a browser
LONGEST = 300  # characters of a text

Key = tuple[int, int]  # index of a path, and of an observation in it


@dataclass
class _Entry:
    """One event, before its clock is known."""

    at: float
    inward: bool  # of two events at the same time sending comes first: the order in which paths are made
    number: int
    host: str
    text: str
    key: Key | None = None  # None for what is no stanza
    after: list[Key] = field(default_factory=list)  # what happens before it, elsewhere or here


def render(record: RunRecord, judgement: Judgement) -> str:
    """The log; the same run gives the same. It ends with a newline, where there is any event."""
    entries = list_entries(SpaceTime(record, judgement))
    lines = []
    for entry, clock in zip(entries[:EVENTS], find_clocks(entries[:EVENTS]), strict=True):
        lines += [entry.text, f"{entry.host} {json.dumps(clock, ensure_ascii=False)}"]
    left = len(entries) - EVENTS
    if left > 0:
        lines += [f"{left} more events are on the page of the run", 'xmpplab {"xmpplab": 1}']
    return "".join(f"{line}\n" for line in lines)


def list_entries(diagram: SpaceTime) -> list[_Entry]:
    """All events, each behind those that happen before it."""
    entries = [*_list_stanzas(diagram), *_list_bands(diagram)]
    return sorted(entries, key=lambda one: (one.at, one.inward, one.number))


def find_clocks(entries: Sequence[_Entry]) -> list[dict[str, int]]:
    """The vector clock of each event: how many events of each host it knows of, its own included."""
    found: list[dict[str, int]] = []
    last: dict[str, dict[str, int]] = {}
    of_key: dict[Key, dict[str, int]] = {}
    for entry in entries:
        clock = dict(last.get(entry.host, {}))
        for key in entry.after:
            for host, count in of_key.get(key, {}).items():
                clock[host] = max(count, clock.get(host, 0))
        clock[entry.host] = clock.get(entry.host, 0) + 1
        last[entry.host] = clock
        if entry.key is not None:
            of_key[entry.key] = clock
        found.append(clock)
    return found


def _list_stanzas(diagram: SpaceTime) -> Iterator[_Entry]:
    for index, line in enumerate(diagram.lines):
        for place, one in enumerate(line.path.observations):
            after = [(index, one.before)] if one.before is not None else [(cause, 0) for cause in line.path.causes]
            text = _describe(line, place)
            yield _Entry(one.at, one.direction == "in", one.number, name_host(one.place), text, (index, place), after)


def _describe(line: StanzaLine, place: int) -> str:
    one, path = line.path.observations[place], line.path
    inward = one.direction == "in"
    other = path.sender if inward else path.receiver
    way = f" {'from' if inward else 'to'} {other}" if other else ""
    text = f"{'receives' if inward else 'sends'} {describe_kind(line)} {path.id}{way}"
    if place == len(path.observations) - 1 and line.value in (FAILED, UNKNOWN):
        text += f": {line.value}: {line.findings[0][1].sentence if line.findings else line.outcome}"
    return _write(text)


def _list_bands(diagram: SpaceTime) -> Iterator[_Entry]:
    """The beginning and the end of faults, and of times in which a server was down, at the servers that they are at."""
    names = [server.name for server in diagram.record.topology.servers]
    for band in diagram.bands:
        for server in band.servers or names:
            host = name_host(server)
            yield _Entry(band.began, False, 0, host, _write(f"{band.title} begins"))
            if band.ended is not None:
                yield _Entry(band.ended, True, 0, host, _write(f"{band.title} ends"))


def name_host(place: str) -> str:
    """The name of a host: the full JID of a device or the name of a server, without spaces, which ShiViz ends it at."""
    return escape_unprintable(re.sub(r"[\s%]", lambda found: f"%{ord(found[0]):02X}", place)) or "-"


def _write(text: str) -> str:
    """A text in one line."""
    line = escape_unprintable(" ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
