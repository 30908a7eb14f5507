"""The course of a run: its steps with what became of them, its notes, its length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from lab.history.events import Note, Step
from lab.metrics.record import RunRecord


@dataclass(frozen=True)
class StepLine:
    """A step of the scenario."""

    text: str
    depth: int  # 0 is outermost
    state: str  # "done", "failed", "not ended"


def list_steps(record: RunRecord) -> list[StepLine]:
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


def list_notes(record: RunRecord) -> Iterator[Note]:
    """What was recorded beside what is judged."""
    return record.of(Note)


def compute_length(record: RunRecord) -> float:
    """Seconds from the start of the run to the last event."""
    first = record.started.at if record.started else min((event.at for event in record.events), default=0.0)
    return max(0.0, record.last_at - first)
