"""What every event of a run has: see lab/history/events.py."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened, at a time."""

    kind: ClassVar[str]
    at: float

    def to_json(self) -> dict[str, Any]:
        """The event as a JSON object; the inverse of `lab.history.reader.from_json`."""
        return {"event": self.kind, **asdict(self)}
