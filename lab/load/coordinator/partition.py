"""One load that several coordinators carry, each a part of it: their events become one sequence and one result.

Coordinator k of n has every n-th worker, and with it every n-th user (lab.load.model.spec), so no user is in two parts.
Only all parts together show that all users are online, that everything was received, and, by their ledgers, which
messages were lost. On every route then expected = received + lost + bounced.

No input or output and no clock: the program that holds the coordinators passes their events in, and sends commands.
Events are those of docs/load-coordinator.md; the events emitted here are those of a single coordinator of all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lab.errors import LabError, decode_error
from lab.load.coordinator.workers import Event, count_outstanding
from lab.load.metrics.result import Result, Usage, merge
from lab.load.metrics.run_folder import LoadOutcome
from lab.load.model.spec import Load
from lab.load.worker.settlement import MAX_MISSING, settle_into

#: Events that all parts send alike: the first part's are passed on.
_SAME_IN_ALL = ("note", "started", "progress")


class PartialResults:
    """`count` parts, numbered from 0, with as many `workers` each. `emit` gets the events of the whole load."""

    def __init__(self, load: Load, count: int, workers: int, emit: Callable[[Event], None]) -> None:
        self._load, self._count, self._workers, self._emit = load, count, workers, emit
        self._online: dict[int, int] = {}  # by part
        self._connected: set[int] = set()
        self._ended: set[int] = set()
        self._whole: set[int] = set()  # parts whose workers have all sent their ledgers
        self._drained: set[int] = set()
        self._totals: dict[int, tuple[float, Mapping[str, int]]] = {}  # by worker: the seconds they cover, the totals
        self._ledgers: list[Event] = []
        self._missing: list[Mapping[str, Any]] = []
        self._gone: list[tuple[str, str]] = []
        self._generators: dict[str, list[Usage]] = {}
        self._result = Result()
        self._interrupted = ""
        self.started = False
        self.failure: LabError | None = None  # of the first part that failed

    def on_event(self, part: int, event: Event) -> None:
        """Handle an event of a part."""
        kind = event["event"]
        if kind == "sample":
            self._on_sample(event)
        elif kind == "ledger":
            self._ledgers.append({name: event[name] for name in event if name not in ("event", "worker")})
        elif kind == "progress" and "online" in event:
            self._online[part] = event["online"]
            self._emit({**event, "online": sum(self._online.values())})
        elif kind == "connected":
            self._connected.add(part)
            if self.connected:
                self._emit({"event": "connected", "users": self._load.users})
        elif kind == "result":
            self._on_result(part, event)
        elif kind == "failed":
            self.failure = self.failure or decode_error(event)
            self.on_lost(part, event["message"])
        elif kind == "usage":
            self._emit(event)
        elif kind == "gone":
            self._gone.append((event["user"], event["reason"]))
            self._emit(event)
        elif part == 0 and kind in _SAME_IN_ALL:
            self.started = self.started or kind == "started"
            self._emit(event)

    def on_lost(self, part: int, why: str) -> None:
        """A part is gone: what it reported counts, and it cannot be known which messages were lost."""
        self._ended.add(part)
        self._interrupted = self._interrupted or why

    @property
    def connected(self) -> bool:
        """Whether all users of all parts are online: all parts should get the same start."""
        return len(self._connected) == self._count

    @property
    def ended(self) -> bool:
        """Whether all parts have ended."""
        return len(self._ended) == self._count

    def has_ended(self, part: int) -> bool:
        """Whether that part has ended."""
        return part in self._ended

    @property
    def incomplete(self) -> bool:
        """Whether a part has ended without all of its ledgers."""
        return self._ended != self._whole

    def all_received(self, until: float) -> bool:
        """Whether every message was received or has bounced, if none is sent after `until` seconds of the load."""
        if len(self._totals) < self._count * self._workers or any(to < until for to, _ in self._totals.values()):
            return False
        return count_outstanding([totals for _, totals in self._totals.values()]) <= 0

    def outcome(self) -> LoadOutcome:
        """The outcome of the load once all parts have ended; emits the lost messages, too."""
        settled = len(self._whole) == self._count
        if settled:
            routes, missing = settle_into(self._result, self._load, self._ledgers)
            self._missing += missing
            self._emit({"event": "lost", "routes": routes, "missing": self._missing[:MAX_MISSING]})
        drained = settled and len(self._drained) == self._count
        return LoadOutcome(
            self._result,
            self._interrupted,
            drained=drained,
            settled=settled,
            whole=settled,
            missing=self._missing[:MAX_MISSING],
            gone=self._gone,
            generators=self._generators,
        )

    def _on_sample(self, event: Event) -> None:
        self._totals[event["worker"]] = (event["to"], event["totals"])
        self._result.add(merge([event]))
        self._emit(event)

    def _on_result(self, part: int, event: Event) -> None:
        """The part has ended. Its samples are known: only the resource usage of its result is new."""
        self._ended.add(part)
        self._interrupted = self._interrupted or event["interrupted"]
        if event["whole"]:
            self._whole.add(part)
        if event["drained"]:
            self._drained.add(part)
        metered = event["result"]
        self._result.add(Result(usage=_usage(metered["usage"]), links=dict(metered["links"])))
        self._generators.update(_usage(event["generators"]))


def _usage(data: Mapping[str, Any]) -> dict[str, list[Usage]]:
    return {name: [Usage.decode(one) for one in readings] for name, readings in data.items()}
