"""The space-time diagram of a run as a Mermaid sequence diagram, which code hosting sites draw in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

from lab.checks import Judgement
from lab.metrics.record import RunRecord
from lab.report.space_time import FAILED, UNKNOWN, SpaceTime, StanzaLine, describe_kind, list_shown

STANZAS = 150  # Mermaid draws no text of more than 50,000 characters
LONGEST = 100  # characters of a text
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:_-/@()'")
_KEYWORD = re.compile(r"\bend\b", re.IGNORECASE)  # it ends a block also inside of a text


def render(record: RunRecord, judgement: Judgement) -> str:
    """The text; the same run gives the same text. It ends with a newline."""
    diagram = SpaceTime(record, judgement)
    every = list_shown(diagram)
    names = {lane.name: f"p{number}" for number, lane in enumerate(diagram.lanes)}
    lines = ["sequenceDiagram"]
    for lane in diagram.lanes:
        lines.append(f"  {'actor' if lane.person else 'participant'} {names[lane.name]} as {quote(lane.title)}")
    order = count()
    entries = [(at, next(order), text) for at, text in _list_notes(diagram, names)]
    for line in every[:STANZAS]:
        entries += [(at, next(order), text) for at, text in _list_arrows(diagram, line, names)]
    lines += [f"  {text}" for _, _, text in sorted(entries)]
    left = len(diagram.lines) - min(len(every), STANZAS)
    if left and names:
        over = _over([*names.values()])
        lines.append(f"  Note over {over}: {left} more stanzas are on the page of the run")
    return "\n".join(lines) + "\n"


def _list_arrows(diagram: SpaceTime, line: StanzaLine, names: dict[str, str]) -> Iterator[tuple[float, str]]:
    """An arrow for each hop; where the stanza was lost a note."""
    path, what = line.path, f"{describe_kind(line)} {line.path.id[:12]}".strip()
    for one in path.observations:
        before = path.observations[one.before] if one.before is not None else None
        if before is None or before.place == one.place or {before.place, one.place} - names.keys():
            continue
        arrow = "->>" if one.seen and line.value != "error" else "-->>"
        yield one.at, f"{names[before.place]}{arrow}{names[one.place]}: {quote(what)}"
    last = path.observations[-1]
    if line.value in (FAILED, UNKNOWN) and last.place in names:
        wrong = diagram.first_wrong is not None and diagram.lines[diagram.first_wrong] is line
        said = line.findings[0][1].sentence if line.findings else line.outcome
        mark = "First wrong: " if wrong else ""
        yield last.at, f"Note over {names[last.place]}: {quote(f'{mark}{line.value}: {said}')}"


def _list_notes(diagram: SpaceTime, names: dict[str, str]) -> Iterator[tuple[float, str]]:
    """Steps, and the beginning and end of faults."""
    everywhere = [*names.values()]
    for step in diagram.steps if everywhere else ():
        yield step.began, f"Note over {_over(everywhere)}: {quote(step.text)}"
    for band in diagram.bands:
        where = [names[lane.name] for lane in diagram.lanes if not lane.person and lane.name in band.servers]
        where = where or everywhere
        if where:
            yield band.began, f"Note over {_over(where)}: {quote(band.title)} begins"
            if band.ended is not None:
                yield band.ended, f"Note over {_over(where)}: {quote(band.title)} ends"


def _over(places: list[str]) -> str:
    return places[0] if len(places) == 1 else f"{places[0]},{places[-1]}"


def quote(text: str) -> str:
    """A text in one line; what has a meaning in Mermaid or HTML is written as the number of its character."""
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    written = "".join(one if one in _PLAIN else f"#{ord(one)};" for one in " ".join(shown.split()))
    return _KEYWORD.sub(lambda found: f"#{ord(found[0][0])};{found[0][1:]}", written) or "-"
