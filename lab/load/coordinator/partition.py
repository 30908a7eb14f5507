"""One load that several conductors carry, each a part of it: what they tell becomes one course and one result.

Conductor k of n has every n-th worker, and with it every n-th user (lab.load.model.spec), so nobody is in two parts.
What none of them can say alone is said here: that all are online, that all has come, and, from the books of all, what
was lost. On every route then expected = received + lost + bounced.

No input or output and no clock: whoever holds the conductors hands their events over and gives them their orders.
Events are those of docs/load-coordinator.md; what is told here is what one conductor of all of it would have told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lab.errors import LabError, decode_error
from lab.load.metrics.result import Result, Usage, merge
from lab.load.metrics.run_folder import LoadOutcome
from lab.load.model.spec import Load
from lab.load.worker.settlement import MAX_MISSING, settle_into

Event = dict[str, Any]

#: What the first part says for all of them.
_SAID_BY_ALL = ("note", "started")
#: Events after which a part tells nothing.
LAST = ("result", "failed")


class Parts:
    """`count` of them, from 0, with as many `workers` each. `tell` is called with what there is to be told."""

    def __init__(self, load: Load, count: int, workers: int, tell: Callable[[Event], None]) -> None:
        self._load, self._count, self._workers, self._tell = load, count, workers, tell
        self._online: dict[int, int] = {}  # by part
        self._connected: set[int] = set()
        self._over: set[int] = set()
        self._whole: set[int] = set()  # parts of which every worker's books are here
        self._drained: set[int] = set()
        self._totals: dict[int, tuple[float, Mapping[str, int]]] = {}  # by worker: seconds it covers, what it has
        self._books: list[Event] = []
        self._missing: list[Mapping[str, Any]] = []
        self._gone: list[tuple[str, str]] = []
        self._generators: dict[str, list[Usage]] = {}
        self._result = Result()
        self._why = ""
        self.started = False
        self.failure: LabError | None = None  # of the first that failed

    def take(self, part: int, event: Event) -> None:
        """What a part told."""
        kind = event["event"]
        if kind == "sample":
            self._sample(event)
        elif kind == "ledger":
            self._books.append({name: event[name] for name in event if name not in ("event", "worker")})
        elif kind == "progress" and "online" in event:
            self._online[part] = event["online"]
            self._tell({**event, "online": sum(self._online.values())})
        elif kind == "connected":
            self._connected.add(part)
            if self.connected:
                self._tell({"event": "connected", "users": self._load.users})
        elif kind == "result":
            self._ended(part, event)
        elif kind == "failed":
            self.failure = self.failure or decode_error(event)
            self.lose(part, event["message"])
        elif kind == "usage":
            self._tell(event)
        elif kind == "gone":
            self._gone.append((event["user"], event["reason"]))
            self._tell(event)
        elif part == 0 and kind in (*_SAID_BY_ALL, "progress"):
            self.started = self.started or kind == "started"
            self._tell(event)

    def lose(self, part: int, why: str) -> None:
        """A part is gone: what it had told counts, and what was lost cannot be known."""
        self._over.add(part)
        self._why = self._why or why

    @property
    def connected(self) -> bool:
        """Everybody of every part is online: they are to be given one start."""
        return len(self._connected) == self._count

    @property
    def over(self) -> bool:
        """No part has anything more to tell."""
        return len(self._over) == self._count

    def over_of(self, part: int) -> bool:
        """Whether that part has nothing more to tell."""
        return part in self._over

    @property
    def broken(self) -> bool:
        """A part is over without having told all of its books."""
        return self._over != self._whole

    def all_has_come(self, until: float) -> bool:
        """Whether all that was written came or bounced, if nothing was written after `until` seconds of the load."""
        if len(self._totals) < self._count * self._workers or any(to < until for to, _ in self._totals.values()):
            return False
        every = [totals for _, totals in self._totals.values()]
        return sum(one["expected"] - one["delivered"] - one["bounced"] + one["requests"] for one in every) <= 0

    def outcome(self) -> LoadOutcome:
        """What became of the load, once it is over; what was lost is told, too."""
        settled = len(self._whole) == self._count
        if settled:
            routes, missing = settle_into(self._result, self._load, self._books)
            self._missing += missing
            self._tell({"event": "lost", "routes": routes, "missing": self._missing[:MAX_MISSING]})
        drained = settled and len(self._drained) == self._count
        return LoadOutcome(
            self._result,
            self._why,
            drained=drained,
            settled=settled,
            whole=settled,
            missing=self._missing[:MAX_MISSING],
            gone=self._gone,
            generators=self._generators,
        )

    def _sample(self, event: Event) -> None:
        self._totals[event["worker"]] = (event["to"], event["totals"])
        self._result.add(merge([event]))
        self._tell(event)

    def _ended(self, part: int, event: Event) -> None:
        """Its samples are here: of its result only what it metered is news."""
        self._over.add(part)
        self._why = self._why or event["interrupted"]
        if event["whole"]:
            self._whole.add(part)
        if event["drained"]:
            self._drained.add(part)
        metered = event["result"]
        self._result.add(Result(usage=_usage(metered["usage"]), links=dict(metered["links"])))
        self._generators.update(_usage(event["generators"]))


def _usage(data: Mapping[str, Any]) -> dict[str, list[Usage]]:
    return {name: [Usage.decode(one) for one in readings] for name, readings in data.items()}
