"""The tables of a run's page: messages and their paths, servers and people, faults, names, streams."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from lab.checks.verdict import pluralize
from lab.history.events import Bounced, DnsAnswered, Sent, ServerStreamClosed, ServerStreamOpened
from lab.metrics.ledger import ledger
from lab.metrics.left_out import left_out
from lab.metrics.record import RunRecord
from lab.metrics.tables import tables
from lab.report.formats.text import RARE
from lab.report.graph import labels
from lab.report.graph.svg import render as draw_topology
from lab.report.html.document import embed_svg, format_seconds
from lab.report.space_time import (
    EXPECTED,
    FAILED,
    NONE,
    UNKNOWN,
    VALID,
    SpaceTime,
    StanzaLine,
    measure_hops,
    shorten_jid,
)
from lab.system.terminal import escape_unprintable
from lab.topology.facts import compute_facts

#: Rows that a table has at most: the files beside the page have the rest.
MESSAGES, ROWS, ROUTES = 150, 200, 60
PEOPLE = 12  # of a server, in its row
_MARKS = {VALID: "✓", FAILED: "✗", UNKNOWN: "?", EXPECTED: "✗ (as expected)", NONE: "–"}
_ORDER = {FAILED: 0, UNKNOWN: 1, EXPECTED: 2}


def build_tables(diagram: SpaceTime, places: Mapping[Sent, int]) -> dict[str, Any]:
    """All tables by the names that the template gives them. `places` has the index of each message in the diagram."""
    record = diagram.record
    people = list_people(diagram)
    return {
        "measured": tables(record),
        "ledger": _ledger(record),
        "messages": _messages(diagram, places),
        "bounces": _bounces(record),
        "left_out": [(one.message, one.owner, one.omemo_device, one.reason) for one in left_out(record)][:ROWS],
        "drawing": embed_svg(escape_unprintable(draw_topology(record.topology, people))),
        "drawn": f"{record.topology.name}: {labels.describe_totals(compute_facts(record.topology))}",
        "servers": _servers(diagram, people),
        "certificates": record.started.certificates[:ROWS] if record.started else (),
        "links": _links(record),
        "faults": _faults(diagram),
        "dns": _dns(diagram),
        "streams": _streams(diagram),
    }


def list_people(diagram: SpaceTime) -> dict[str, list[str]]:
    """The localparts of the people of each server, as they appeared."""
    found: dict[str, list[str]] = defaultdict(list)
    for lane in diagram.lanes:
        name = lane.person.partition("@")[0]
        if lane.person and name not in found[lane.server]:
            found[lane.server].append(name)
    return found


def _ledger(record: RunRecord) -> dict[str, Any]:
    found = ledger(record)[:ROUTES]
    rare = [name for name in RARE if any(getattr(one, name) for one in found)]
    head = ("from", "to", "link", "sent", "delivered", "bounced", *rare, "median", "p95", "max")
    rows = [
        (one.sender, one.receiver, "yes" if one.linked else "no", one.sent, one.delivered, one.bounced,
         *(getattr(one, name) for name in rare),
         *(None if value is None else f"{value:.3f}" for value in (one.delay_median, one.delay_p95, one.delay_max)))
        for one in found
    ]  # fmt: skip
    return {"head": head, "rows": rows}


def _messages(diagram: SpaceTime, places: Mapping[Sent, int]) -> dict[str, Any]:
    """A row for each message; those that went wrong first, then in the order of sending."""
    every = [sent for _, sent in diagram.record.messages]
    lines = {sent: diagram.lines[places[sent]] for sent in every if sent in places}
    ordered = sorted(every, key=lambda one: _ORDER.get(lines[one].value if one in lines else NONE, 3))
    rows = [_message(sent, lines.get(sent), places.get(sent)) for sent in ordered[:MESSAGES]]
    wrong = any(row["value"] in _ORDER for row in rows)
    caption = f"Each message{', those that went wrong first' if wrong else ''}"
    return {"rows": rows, "left": len(every) - MESSAGES, "caption": caption}


def _message(sent: Sent, line: StanzaLine | None, index: int | None) -> dict[str, Any]:
    value = line.value if line else NONE
    return {
        "index": index, "value": value, "id": sent.message or "without an id", "sender": shorten_jid(sent.sender),
        "receiver": sent.receiver, "encryption": sent.encryption, "mark": _MARKS.get(value, ""),
        "outcome": line.outcome if line else "no server's feed shows it", "path": _path(line) if line else "",
    }  # fmt: skip


def _path(line: StanzaLine) -> str:
    """ "alice/phone → island +1.2 ms → home +0.8 ms → bob/phone +0.3 ms": where it went, and after how long."""
    said, last = "", ""
    for one, delay in measure_hops(line.path):
        before = line.path.observations[one.before].place if one.before is not None else ""
        if before == one.place:
            continue  # the time inside a server is part of the next hop's
        if before != last:
            said += f"; {shorten_jid(before)}"
        after = "" if delay is None else f" +{1000 * _since_arrival(line, one.before, one.at):.1f} ms"
        guessed = "" if one.seen else " (hops between not recorded)"
        said += f"{' → ' if before else ''}{shorten_jid(one.place)}{after}{guessed}"
        last = one.place
    return said


def _since_arrival(line: StanzaLine, before: int | None, at: float) -> float:
    """Seconds since the stanza arrived at the place that it came from."""
    found = line.path.observations
    while before is not None and found[before].before is not None:
        earlier = found[before].before
        if earlier is None or found[earlier].place != found[before].place:
            break
        before = earlier
    return max(0.0, at - found[before].at) if before is not None else 0.0


def _bounces(record: RunRecord) -> dict[str, Any]:
    found = [one for some in record.bounces.values() for one in some]
    return {"rows": [_bounce(one) for one in found[:ROWS]], "left": len(found) - ROWS}


def _bounce(one: Bounced) -> tuple[object, ...]:
    return one.message, one.by, one.condition, one.error_type or None, one.text or None


def _servers(diagram: SpaceTime, people: dict[str, list[str]]) -> Sequence[tuple[object, ...]]:
    rows = []
    for one in diagram.record.plan.servers:
        spec, own = one.spec, people.get(one.spec.name, [])
        devices = sum(1 for lane in diagram.lanes if lane.server == spec.name and lane.person)
        more = f" and {len(own) - PEOPLE} more" if len(own) > PEOPLE else ""
        lives = f"{', '.join(own[:PEOPLE])}{more} ({pluralize(devices, 'device')})" if own else None
        feed = str(spec.feed) if spec.name in diagram.record.with_feed else f"{spec.feed}, nothing recorded"
        request = one.certificate
        kind = f"{request.kind}{', and a valid one for clients' if request.clients else ''}"
        rows.append(
            (spec.name, spec.domain, labels.describe_software(spec), feed, lives, kind, ", ".join(request.names))
        )
    return rows


def _links(record: RunRecord) -> Sequence[tuple[object, ...]]:
    return [(f"{one.a} – {one.b}", labels.describe_link(one, one.a) or "none") for one in record.topology.links][:ROWS]


def _faults(diagram: SpaceTime) -> Sequence[tuple[object, ...]]:
    return [
        (one.title, ", ".join(one.servers) or "all", _after(diagram, one.began),
         "the end" if one.ended is None else _after(diagram, one.ended), one.detail or None)
        for one in diagram.bands
    ][:ROWS]  # fmt: skip


def _dns(diagram: SpaceTime) -> dict[str, Any]:
    first: dict[tuple[str, ...], float] = {}
    times: Counter[tuple[str, ...]] = Counter()
    for one in diagram.record.of(DnsAnswered):
        answer = ", ".join(f"{kind} {value}" for kind, value in one.records)
        key = (one.asker or "the lab", one.name, one.type, answer or one.rcode)
        first.setdefault(key, one.at)
        times[key] += 1
    rows = [(*key, times[key], _after(diagram, at)) for key, at in first.items()]
    return {"rows": rows[:ROWS], "left": len(rows) - ROWS}


def _streams(diagram: SpaceTime) -> dict[str, Any]:
    """A row for each stream: when it was opened and closed."""
    closed: dict[tuple[str, ...], ServerStreamClosed] = {}
    for end in diagram.record.of(ServerStreamClosed):
        closed.setdefault((end.server, end.direction, end.peer, end.id), end)
    rows: list[tuple[float, tuple[object, ...]]] = []
    for one in diagram.record.of(ServerStreamOpened):
        found = closed.pop((one.server, one.direction, one.peer, one.id), None) if one.id else None
        rows.append((one.at, _stream(diagram, one, found)))
    rows += [(end.at, _stream(diagram, end, end)) for end in closed.values()]
    rows.sort(key=lambda row: row[0])
    return {"rows": [row for _, row in rows[:ROWS]], "left": len(rows) - ROWS}


def _stream(
    diagram: SpaceTime, one: ServerStreamOpened | ServerStreamClosed, end: ServerStreamClosed | None
) -> tuple[object, ...]:
    opened = isinstance(one, ServerStreamOpened)
    why = None
    if end is not None:
        why = " ".join(text for text in (end.condition, end.text) if text) or "no error"
        why += f" (sent by the {end.by})" if end.by else ""
    known = opened or one.authentication
    return (
        one.server, one.peer or None, "client" if one.stream == "c2s" else "server",
        one.server if one.direction == "out" else one.peer or "the other", one.tls or "none",
        one.authentication or ("none" if known else "never authenticated"), _after(diagram, one.at) if opened else None,
        _after(diagram, end.at) if end is not None else "the end", why,
    )  # fmt: skip


def _after(diagram: SpaceTime, at: float) -> str:
    """A time since the start of the run."""
    return format_seconds(at - diagram.began)
