"""The course of a run: its steps with what became of them, its notes, its length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lab.history.events import Note, Step
from lab.metrics.record import RunRecord


@dataclass(frozen=True)
class StepSpan:
    """A step of the scenario, in time."""

    text: str
    depth: int  # 0 is outermost
    began: float
    ended: float | None  # None if it did not end
    failed: bool

    @property
    def state(self) -> str:
        """ "done", "failed" or "not ended"."""
        return "not ended" if self.ended is None else "failed" if self.failed else "done"


def list_steps(record: RunRecord) -> list[StepSpan]:
    """The steps in the order in which they began."""
    open_steps: dict[str, list[int]] = defaultdict(list)
    found: list[StepSpan] = []
    depth = 0
    for event in record.of(Step):
        if event.phase == "begin":
            open_steps[event.text].append(len(found))
            found.append(StepSpan(event.text, depth, event.at, None, False))
            depth += 1
        elif open_steps[event.text]:
            place = open_steps[event.text].pop()
            found[place] = replace(found[place], ended=event.at, failed=event.failed)
            depth -= 1
    return found


def list_notes(record: RunRecord) -> Iterator[Note]:
    """What was recorded beside what is judged."""
    return record.of(Note)


def compute_length(record: RunRecord) -> float:
    """Seconds from the start of the run to the last event."""
    first = record.started.at if record.started else min((event.at for event in record.events), default=0.0)
    return max(0.0, record.last_at - first)
