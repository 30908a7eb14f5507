"""The space-time diagram as data for the script of the page, with the XML of stanzas and the lines around them.

A page stays small: long runs of base64, of which nobody reads anything, are shortened; if that is not enough, the XML
of the stanzas that matter least is left out, and the page says of how many. history.jsonl has all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lab.declarations.encryptions import ENCRYPTIONS
from lab.history.events import (
    Connected,
    Disconnected,
    DnsAnswered,
    FaultApplied,
    FaultHealed,
    Intervened,
    Sent,
    ServerEnded,
    ServerSaw,
    ServerStarted,
    ServerStreamClosed,
    ServerStreamOpened,
)
from lab.metrics.record import RunRecord
from lab.report.html.document import pack
from lab.report.server_logs import LogLine
from lab.report.space_time import ERROR, FAILED, NONE, SpaceTime

LARGEST = 1_600_000  # characters of packed data: the page has 2 MB
MOST = 20_000  # stanzas in the diagram
TRIES = 4
_OPAQUE = re.compile(r"[A-Za-z0-9+/=]{100,}")
_SHOWN = 32  # characters of what is shortened


@dataclass(frozen=True)
class Diagram:
    """The packed data, and what it lacks."""

    packed: str
    left_out: int  # stanzas whose XML is left out
    not_drawn: int  # stanzas that are not in it at all


def build_diagram(diagram: SpaceTime, logs: Sequence[LogLine], most: int = MOST) -> Diagram:
    """The data of a run's diagram, at most `LARGEST` characters of it: of `most` stanzas, or of fewer."""
    chosen = _choose(diagram, most)
    data = _build(diagram, chosen, logs)
    ranks = sorted(range(len(chosen)), key=lambda place: _importance(diagram, chosen[place]))
    xml: list[list[str | None]] = [
        [shorten_opaque(one.xml) if one.xml else None for one in diagram.lines[index].path.observations]
        for index in chosen
    ]
    kept = len(chosen)
    for _ in range(TRIES):
        shown = set(ranks[:kept])
        data["xml"] = [texts if place in shown else None for place, texts in enumerate(xml)]
        packed = pack(data)
        if len(packed) <= LARGEST or not kept:
            break
        kept = int(kept * 0.85 * LARGEST / len(packed))
    if len(packed) > LARGEST and len(chosen) > 1:
        return build_diagram(diagram, logs, len(chosen) // 2)  # a room of hundreds: even their paths are too much
    with_xml = sum(any(texts) for place, texts in enumerate(xml) if place not in shown)
    return Diagram(packed, with_xml, len(diagram.lines) - len(chosen))


def shorten_opaque(xml: str) -> str:
    """XML without the middle of long base64."""
    return _OPAQUE.sub(lambda found: f"{found[0][:_SHOWN]}… ({len(found[0])} characters)", xml)


def _choose(diagram: SpaceTime, most: int) -> list[int]:
    """Indices of the stanzas that are drawn."""
    every = range(len(diagram.lines))
    if len(every) <= most:
        return list(every)
    return sorted(sorted(every, key=lambda index: _importance(diagram, index))[:most])


def _importance(diagram: SpaceTime, index: int) -> tuple[int, int]:
    """The smaller, the more it matters."""
    line = diagram.lines[index]
    if line.value == FAILED:
        return 0, index
    if line.findings or line.value == ERROR:
        return 1, index
    if line.value != NONE:
        return 2 if line.path.kind == "message" else 4, index
    return 3 if line.path.name == "message" else 5 if line.path.name == "presence" else 6, index


def _build(diagram: SpaceTime, chosen: Sequence[int], logs: Sequence[LogLine]) -> dict[str, Any]:
    lanes = {lane.name: place for place, lane in enumerate(diagram.lanes)}
    servers = {lane.server: place for place, lane in enumerate(diagram.lanes) if not lane.person}
    places = {index: place for place, index in enumerate(chosen)}
    first = diagram.first_wrong
    return {
        "lanes": [[lane.title, lane.name, servers.get(lane.server, -1), lane.person] for lane in diagram.lanes],
        "stanzas": [_stanza(diagram, index, lanes, places) for index in chosen],
        "bands": [
            [band.title, _time(diagram, band.began), None if band.ended is None else _time(diagram, band.ended),
             [servers[name] for name in band.servers if name in servers], int(band.fault), band.detail]
            for band in diagram.bands
        ],
        "steps": [
            [step.text, step.depth, _time(diagram, step.began),
             None if step.ended is None else _time(diagram, step.ended), int(step.failed)]
            for step in diagram.steps
        ],
        "lines": [
            [_time(diagram, at), [servers[name] for name in names if name in servers], text]
            for at, names, text in sorted([*_list_context(diagram.record), *_logged(logs)], key=lambda one: one[0])
        ],
        "wrong": -1 if first is None else places.get(first, -1),
        "sealed": {one.element: one.about for one in ENCRYPTIONS.values() if one.element and one.end_to_end},
        "sealed_bodies": {one.body: one.about for one in ENCRYPTIONS.values() if one.body and one.end_to_end},
    }  # fmt: skip


def _stanza(diagram: SpaceTime, index: int, lanes: dict[str, int], places: dict[int, int]) -> list[Any]:
    line = diagram.lines[index]
    path = line.path
    observations = [
        [lanes.get(one.place, -1), int(one.direction == "in"), _time(diagram, one.at),
         -1 if one.before is None else one.before, int(one.seen), one.number, *_other(diagram.record, one.event, lanes)]
        for one in path.observations
    ]  # fmt: skip
    return [
        path.name, path.type, path.id, path.sender, path.receiver, path.kind, line.value, line.outcome,
        [[check, one.value.value, one.sentence, one.cause, one.last_hop] for check, one in line.findings],
        [places[cause] for cause in path.causes if cause in places], observations,
        path.sent.encryption if path.sent is not None else "", index,
    ]  # fmt: skip


def _other(record: RunRecord, event: object, lanes: dict[str, int]) -> tuple[int, str]:
    """The lane at the other end of the stream, and the kind of the stream."""
    if isinstance(event, ServerSaw):
        server = record.find_server(event.peer or (event.sender if event.direction == "in" else event.receiver))
        name = event.peer if event.stream == "c2s" else server.name if server else ""
        return lanes.get(name, -1), event.stream
    home = record.find_server(event.sender if isinstance(event, Sent) else getattr(event, "device", ""))
    return lanes.get(home.name if home else "", -1), "c2s"


def _time(diagram: SpaceTime, at: float) -> int:
    """Microseconds since the start."""
    return round((at - diagram.began) * 1e6)


def _logged(logs: Sequence[LogLine]) -> Iterator[tuple[float, tuple[str, ...], str]]:
    for line in logs:
        yield line.at, (line.server,), f"log of {line.server}: {line.text}"


def _list_context(record: RunRecord) -> Iterator[tuple[float, tuple[str, ...], str]]:
    """What happened beside stanzas: time, servers that it concerns, in words."""
    for event in record.events:
        match event:
            case FaultApplied():
                yield (
                    event.at,
                    event.servers,
                    f"fault {event.fault} {event.error and 'not '}applied {event.error}".strip(),
                )
            case FaultHealed():
                yield event.at, (), f"fault {event.fault} {f'not healed: {event.error}' if event.error else 'healed'}"
            case ServerEnded():
                yield event.at, (event.server,), f"{event.server} went down"
            case ServerStarted():
                yield event.at, (event.server,), f"{event.server} was started"
            case ServerStreamOpened():
                way = "to" if event.direction == "out" else "from"
                how = f"{event.tls or 'without TLS'}, {event.authentication}"
                yield event.at, (event.server,), f"{event.server}: stream {way} {event.peer} opened ({how})"
            case ServerStreamClosed():
                way, why = "to" if event.direction == "out" else "from", event.condition or event.text
                said = "ended" if event.authentication else "could not be opened"
                yield event.at, (event.server,), f"{event.server}: stream {way} {event.peer} {said}{why and ': '}{why}"
            case DnsAnswered() if event.asker:
                records = ", ".join(value for _, value in event.records) or event.rcode
                yield event.at, (event.asker,), f"DNS: {event.asker} asked for {event.name} {event.type}: {records}"
            case Intervened():
                ends = (event.source, event.target)
                yield event.at, ends, f"{event.attack}: {event.action} {event.name} {event.id} ({' → '.join(ends)})"
            case Connected():
                home = record.find_server(event.device)
                yield event.at, (home.name,) if home else (), f"{event.device} connected"
            case Disconnected():
                home = record.find_server(event.device)
                why = f": {event.reason}" if event.reason else ""
                yield event.at, (home.name,) if home else (), f"{event.device} disconnected{why}"
