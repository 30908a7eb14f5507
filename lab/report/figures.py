"""What a report counts: outcomes by route, steps with what became of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from lab.checks import Record
from lab.history.events import Note, ServerSaw, Step


@dataclass
class RouteFigures:
    """Messages of the scenario from one server to another, by outcome; one with two outcomes counts in both."""

    sender: str
    receiver: str
    linked: bool
    sent: int = 0
    delivered: int = 0
    bounced: int = 0
    neither: int = 0


@dataclass(frozen=True)
class StepLine:
    """A step of the story."""

    text: str
    depth: int  # 0 is outermost
    state: str  # "done", "failed", "not ended"


def routes(record: Record) -> list[RouteFigures]:
    """Figures by ordered pair of servers, in the order of first use."""
    found: dict[tuple[str, str], RouteFigures] = {}
    for key, (_, sent) in record.messages.items():
        a, b = record.server_of(sent.sender), record.server_of(sent.receiver)
        if a is None or b is None:
            continue
        figures = found.setdefault((a.name, b.name), RouteFigures(a.name, b.name, record.linked(a.name, b.name)))
        delivered, bounced = bool(record.deliveries.get(key)), bool(record.bounces.get(key))
        figures.sent += 1
        figures.delivered += delivered
        figures.bounced += bounced
        figures.neither += not (delivered or bounced)
    return list(found.values())


def steps(record: Record) -> list[StepLine]:
    """The steps in the order in which they began."""
    open_steps: dict[str, list[int]] = defaultdict(list)
    lines: list[StepLine] = []
    depth = 0
    for event in record.of(Step):
        if event.phase == "begin":
            open_steps[event.text].append(len(lines))
            lines.append(StepLine(event.text, depth, "not ended"))
            depth += 1
        elif open_steps[event.text]:
            place = open_steps[event.text].pop()
            lines[place] = StepLine(event.text, lines[place].depth, "failed" if event.failed else "done")
            depth -= 1
    return lines


def notes(record: Record) -> Iterator[Note]:
    """What was noted beside what is judged."""
    return record.of(Note)


def stanzas(record: Record) -> int:
    """How many stanzas servers told of."""
    return sum(1 for _ in record.of(ServerSaw))


def seconds(record: Record) -> float:
    """From the first event to the last."""
    times = [event.at for event in record.events]
    return max(times) - min(times) if times else 0.0
