"""One load over several Locust workers: each carries a part, the master starts them and puts together what they tell.

    master -> worker    job      the part, as JSON; order: {"go_ns": NS}, {"drained": true}, {"stop": true}
    worker -> master    event    what its conductor tells; with {"event": "stopping"} it asks for the end of all
                        end      people with tasks of their own cannot go on, and why: the event `failed`

They go as Locust's own messages, so that workers are what Locust takes for workers (`--processes`, `--worker`). All
of them must run on the lab's machine: it is reached from there only. The run's folder is the master's alone, and holds
what one conductor would have left.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_MISSING, MasterRunner, WorkerRunner

from lab.errors import LabError, UserError, encode_event
from lab.load.coordinator.partition import LAST, Parts
from lab.load.coordinator.provisioning import endpoints
from lab.load.main import finish
from lab.load.model.job import Job
from lab.load.model.spec import Load, Shard
from lab.load.run_folder import Keeper
from lab.locust.conductor import Conductor
from lab.locust.course import Course, complain, leave, log
from lab.locust.options import plan_of

JOB, ORDER, EVENT, END = "xmpplab-job", "xmpplab-order", "xmpplab-event", "xmpplab-end"

#: Seconds from the moment when all are online to the common start: time for the order to arrive.
AHEAD = 0.5
#: Seconds after the end, or after an order to stop, until samples hold all that was written.
BEHIND, HEARD = 0.1, 1.0
#: Seconds between two looks whether the others are still there.
LOOK = 1.0
#: Seconds that workers have to be ready again, once they were told to stop, and between two looks whether they are.
BACK, GLANCE = 5.0, 0.05
#: Seconds without a word after which a worker takes the master for gone; it says something each second.
SILENCE = 6.0


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
        gevent.spawn(self._watch)

    def order(self, order: dict[str, Any]) -> None:
        """The master's, passed on."""
        if self._conductor is not None:
            self._conductor.order(**order)

    def ask_to_stop(self) -> None:
        """All stop, so that what is under way to and from our people is counted; we do so where the master is gone."""
        self._send({"event": "stopping"})
        if self._conductor is not None:
            self._conductor.stop()

    def handle(self, event: dict[str, Any]) -> None:
        """Count samples here, where Locust expects a worker's statistics, and tell the master everything."""
        if event["event"] == "sample":
            self.statistics.take(event)
        elif event["event"] == "started":
            self.statistics.begin(event["at"] + event["warmup"])
        elif event["event"] == "result":
            metered = {name: event["result"][name] for name in ("usage", "links")}  # it has the samples
            event = {**event, "result": metered}
        if event["event"] in LAST:
            self._runner._send_stats()  # else the master has the last three seconds when it has written its files
        self._send(event)
        if event["event"] in LAST:
            self.ended.set()

    def _send(self, event: dict[str, Any]) -> None:
        self._runner.send_message(EVENT, event)

    def _watch(self) -> None:
        """Without the master nobody could say that all has come: then this part ends at once."""
        while not self.ended.wait(LOOK):
            heard = self._runner.last_heartbeat_timestamp
            if heard is not None and time.time() - heard > SILENCE:
                log.error("the Locust master is gone: this part of the load ends, and nobody counts it")
                self.order({"stop": True})
                self.order({"drained": True})
                return


class Master(Course):
    """Brings the workers' parts together."""

    def __init__(self, environment: Environment, runner: MasterRunner) -> None:
        super().__init__(environment)
        self._runner = runner
        self._number: dict[str, int] = {}  # Locust's name of a worker -> its part
        self._began = self._until = math.inf  # EPOCH of the start; seconds after it when nothing is written any more
        self._drained = False

    def start(self, job: Job) -> None:
        """Hand out a part to each worker that is there, in the order of Locust's own numbers."""
        try:
            self._load = the_load(job)
        except LabError as error:
            self.handle(encode_event(error))
            return
        if job.folder is not None and not job.folder.is_dir():
            self.handle(encode_event(UserError(f"{job.folder}: the folder of the run is not there")))
            return
        there = self._runner.clients.ready + self._runner.clients.running + self._runner.clients.spawning
        names = sorted((one.id for one in there), key=self._runner.get_worker_index)
        self._number = {name: part for part, name in enumerate(names)}
        self._job = job
        self._keeper = Keeper(job)
        self._keeper.__enter__()
        self._parts = Parts(self._load, len(names), job.workers, self._tell)
        for client, part in self._number.items():
            own = replace(job, hold=True, part=Shard(part, len(names)), folder=None)
            self._runner.send_message(JOB, {"job": own.encode()}, client)
        gevent.spawn(self._watch)

    def ask_to_stop(self) -> None:
        """Every part stops, and nothing is written from about now on."""
        self._until = min(self._until, time.time() - self._began + HEARD)
        self._order(stop=True)

    def regain(self) -> None:
        """Once they have stopped: returns when all are ready for another load, or are gone.

        A worker first says that it has stopped, and then is none of Locust's; a load that was started before it says
        that it is ready would do without it, and one without any is, to Locust, a line in the log.
        """
        deadline = time.monotonic() + BACK
        while not all(map(self._is_back, self._number)) and time.monotonic() < deadline:
            gevent.sleep(GLANCE)

    def _is_back(self, client: str) -> bool:
        clients = self._runner.clients
        if client not in clients:
            return False
        there = clients[client]
        never_told = there.user_count > 0  # Locust quits
        return never_told or there.state in (STATE_INIT, STATE_MISSING)

    def take(self, client: str, event: dict[str, Any]) -> None:
        """What a worker tells."""
        if self.ended.is_set() or client not in self._number:
            return  # of a load that was given up
        if event["event"] == "stopping":
            self.asked = True
            self.ask_to_stop()
            return
        self._parts.take(self._number[client], event)
        if event["event"] == "failed" or event.get("interrupted"):
            self._stop_the_others()
        if self._parts.connected and self._began == math.inf:
            self._go()
        if not self._drained and self._parts.all_has_come(self._until):
            self._drained = True
            self._order(drained=True)
        self._end_if_over()

    def _go(self) -> None:
        """All users of all parts are online: one start for all."""
        self._began = time.time() + AHEAD
        self._until = min(self._until, self._load.warmup + self._load.seconds + BEHIND)
        self._order(go_ns=time.perf_counter_ns() + int(AHEAD * 1e9))  # to the ns the same for all

    def _end_if_over(self) -> None:
        parts = self._parts
        if not parts.over or self.ended.is_set():
            return
        if parts.failure is not None and not parts.started:
            self._tell(encode_event(parts.failure))
        else:
            self._tell(finish(self._keeper, self._job, parts.outcome()))
        self._keeper.__exit__()

    def _tell(self, event: dict[str, Any]) -> None:
        """Keep it as one conductor would have; what Locust itself is to know of it, samples come by its reports."""
        self._keeper.take(json.dumps(event, separators=(",", ":")), event)
        if event["event"] != "sample":
            self.handle(event)

    def _watch(self) -> None:
        """A worker that is gone tells nothing any more: the others must not wait for it."""
        while not self.ended.wait(LOOK):
            clients = self._runner.clients
            for client, part in self._number.items():
                if self._parts.over_of(part):
                    continue
                if client not in clients or clients[client].state == STATE_MISSING:
                    self._parts.lose(part, f"a Locust worker is gone, and with it part {part + 1} of the load")
                    self._stop_the_others()
                    self._end_if_over()

    def _stop_the_others(self) -> None:
        """A part has ended before its time."""
        self.ask_to_stop()
        if self._parts.broken:  # nobody can say any more whether all has come
            self._order(drained=True)

    def _order(self, **order: Any) -> None:
        clients = self._runner.clients
        for client, part in self._number.items():
            if client in clients and not self._parts.over_of(part):
                self._runner.send_message(ORDER, order, client)


def give_up(environment: Environment, error: LabError) -> None:
    """Nothing can go on in this process: that is said once, where Locust's exit status is made, and Locust ends."""
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.send_message(END, encode_event(error))
    elif environment.process_exit_code is None:
        complain(environment, error)
        gevent.spawn(leave, environment)


def the_load(job: Job) -> Load:
    """The load of a job as far as its lab's plan tells: without secrets, so for planning only. Raises UserError."""
    where = endpoints(plan_of(job.lab), job.load.get("security", "starttls"))
    return Load(endpoints=where, password="", authority="", **job.load)
