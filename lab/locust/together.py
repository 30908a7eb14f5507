"""One load over several Locust workers: each carries a part, the master gives the start and settles what was lost.

    master -> worker    job      the part, as JSON; order: {"go": EPOCH}, {"drained": true}, {"stop": true}
    worker -> master    event    what its conductor tells, of a sample only what the others must know

They go as Locust's own messages, so that workers are what Locust takes for workers (`--processes`, `--worker`). All
of them must run on the lab's machine: it is reached from there only.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

from lab.load import ledger
from lab.load.deliveries import routes
from lab.load.job import Job
from lab.load.preparing import endpoints
from lab.load.spec import Load, Share
from lab.load.traffic import parse
from lab.locust.conductor import LAST, Conductor
from lab.locust.course import Course, complain, tell
from lab.plan import files
from lab.plan.layout import Layout

JOB, ORDER, EVENT = "xmpplab-job", "xmpplab-order", "xmpplab-event"

#: Seconds from the moment when all are online to the common start: time for the order to arrive.
AHEAD = 0.5
#: Seconds after the end, or after an order to stop, until samples hold all that was written.
BEHIND, HEARD = 0.1, 1.0
#: Seconds between two looks whether workers are still there.
LOOK = 1.0
#: What a ledger's entries hold.
LEDGER = ("sent", "came", "gaps", "bounced")


class Worker(Course):
    """A Locust worker: carries the part that it is given."""

    def __init__(self, environment: Environment, runner: WorkerRunner) -> None:
        super().__init__(environment)
        self._runner = runner
        self._conductor: Conductor | None = None

    def report(self, data: dict[str, Any]) -> None:
        """Locust reports to the master."""
        self.statistics.report(data)

    def start(self, job: Job) -> None:
        """Start the conductor of this part."""
        self._conductor = Conductor(job, self.handle)

    def order(self, order: dict[str, Any]) -> None:
        """The master's, passed on."""
        if self._conductor is not None:
            self._conductor.order(**order)

    def ask_to_stop(self) -> None:
        """Also where the master is gone."""
        if self._conductor is not None:
            self._conductor.stop()

    def handle(self, event: dict[str, Any]) -> None:
        """Count samples here, where Locust expects a worker's statistics; tell the master what it must know."""
        if event["event"] == "sample":
            self.statistics.take(event)
            event = {name: event[name] for name in ("event", "worker", "to", "totals")}
        elif event["event"] == "result":
            event = {"event": "result"}
        elif event["event"] == "started":
            self.statistics.begin(event["at"] + event["warmup"])
        elif event["event"] == "usage":
            return
        if event["event"] in LAST:
            self._runner._send_stats()  # else the master has the last three seconds when it has written its files
        self._runner.send_message(EVENT, event)
        if event["event"] in LAST:
            self.ended.set()


class Master(Course):
    """Brings the workers' parts together."""

    def __init__(self, environment: Environment, runner: MasterRunner) -> None:
        super().__init__(environment)
        self._runner = runner
        self._parts: dict[str, int] = {}  # Locust's name of a worker -> its part
        self._connected: set[str] = set()
        self._over: set[str] = set()
        self._told: dict[int, tuple[float, dict[str, int]]] = {}  # by number of the generator's worker: time, totals
        self._entries: list[dict[str, Any]] = []
        self._began = self._until = math.inf  # EPOCH of the start; seconds after it when nothing is written any more
        self._drained = False

    def start(self, job: Job) -> None:
        """Hand out a part to each worker that is there."""
        clients = self._runner.clients
        self._parts = {one.id: part for part, one in enumerate(clients.ready + clients.running + clients.spawning)}
        self._job = job
        self._load = the_load(job)
        for client, part in self._parts.items():
            folder = None if job.folder is None else job.folder / f"part-{part + 1}"
            own = replace(job, hold=True, part=Share(part, len(self._parts)), folder=folder)
            self._runner.send_message(JOB, {"job": own.encode()}, client)
        gevent.spawn(self._watch)

    def ask_to_stop(self) -> None:
        """Every part stops, and nothing is written from about now on."""
        self._until = min(self._until, time.time() - self._began + HEARD)
        self._order(stop=True)

    def take(self, client: str, event: dict[str, Any]) -> None:
        """What a worker tells."""
        match event["event"]:
            case "connected":
                self._connected.add(client)
                if self._connected == {*self._parts}:
                    self._go()
            case "sample":
                self._told[event["worker"]] = (event["to"], event["totals"])
                if not self._drained and self._all_has_come():
                    self._drained = True
                    self._order(drained=True)
            case "ledger":
                self._entries.append({name: event[name] for name in LEDGER if name in event})
            case "failed":
                complain(self.environment, event["kind"], event["message"])
                self._is_over(client)
                self._order(stop=True)
            case "result":
                self._is_over(client)
            case "started" | "lost":  # the master starts them, and knows better what is lost
                pass
            case "note" | "progress" if self._parts.get(client):  # all say the same
                pass
            case _:
                tell(event)

    def _go(self) -> None:
        """All users of all parts are online: one start for all."""
        self._began = time.time() + AHEAD
        self._until = self._load.warmup + self._load.seconds + BEHIND
        self._order(go=self._began)
        tell({"event": "connected", "users": self._load.users})
        tell({"event": "started", "warmup": self._load.warmup, "seconds": self._load.seconds})
        self.statistics.begin(self._began + self._load.warmup)

    def _all_has_come(self) -> bool:
        """Nothing is written any more, and what was has come."""
        expected = self._job.workers * len(self._parts)
        if len(self._told) < expected or any(to < self._until for to, _ in self._told.values()):
            return False
        every = [totals for _, totals in self._told.values()]
        return sum(one["expected"] - one["delivered"] - one["bounced"] + one["requests"] for one in every) <= 0

    def _is_over(self, client: str) -> None:
        self._over.add(client)
        if self._over >= {*self._parts} and not self.ended.is_set():
            self.lost(lost_routes(self._load, self._entries))
            self.end()

    def _watch(self) -> None:
        """A worker that is gone tells nothing any more: the others must not wait for it."""
        while not self.ended.is_set():
            gevent.sleep(LOOK)
            clients = self._runner.clients
            for client in self._parts.keys() - self._over:
                if client not in clients or clients[client].state == STATE_MISSING:
                    complain(self.environment, "PeerError", f"the Locust worker {client} is gone, its part is lost")
                    self._order(stop=True)
                    self._is_over(client)

    def _order(self, **order: Any) -> None:
        clients = self._runner.clients
        for client in self._parts.keys() - self._over:
            if client in clients:
                self._runner.send_message(ORDER, order, client)


def the_load(job: Job) -> Load:
    """The load of a job as far as its lab's plan tells: without secrets, so for planning only."""
    plan = files.load(Layout.of(job.lab).plan.read_text(encoding="utf-8"))
    return Load(endpoints=endpoints(plan), password="", authority="", **job.load)


def lost_routes(load: Load, entries: Iterable[dict[str, Any]]) -> dict[str, int]:
    """How many of each route never came, from the halves that all workers told."""
    rooms = parse(load.traffic).rooms(load, load.seed)
    names, servers = routes(load), len(load.endpoints)
    found: Counter[str] = Counter()
    for one in ledger.settle(entries).missing(lambda room: rooms[room].members):
        found["room" if one.room is not None else names[one.sender % servers][one.receiver % servers]] += 1
    return dict(found)
