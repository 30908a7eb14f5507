"""One load in one Locust process, from its start to its result, for each of Locust's runners.

    LocalLoadRun     Locust in one process: it has a coordinator of its own
    WorkerLoadRun    a Locust worker: a coordinator carries the part of the load that the master assigns
    MasterLoadRun    a Locust master: it has no coordinator; it starts the workers' parts and merges their results

Whatever ends a load (its time, Ctrl-C, the web page, a failure), Locust ends, or its page shows a load that is over,
once everything is counted.

Master and workers exchange Locust's own messages, so workers are Locust workers too (`--processes`, `--worker`):

    master -> worker    job      the worker's part, as JSON; order: {"go_ns": NS}, {"drained": true}, {"stop": true}
    worker -> master    event    an event of its coordinator; with {"event": "stopping"} it asks to end the whole load
                        end      a user class with tasks of its own cannot go on, and why: the event `failed`

All of them must run on the lab's machine, from which alone the lab can be reached. Only the master writes the folder of
the run; it holds what a single coordinator would have written.
"""

from __future__ import annotations

import json
import logging
import math
import time
from abc import abstractmethod
from dataclasses import replace
from typing import Any

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.runners import STATE_INIT, STATE_MISSING, MasterRunner, WorkerRunner

from lab import exit_codes
from lab.errors import LabError, PeerError, UserError, decode_error, encode_event
from lab.load.coordinator.partition import PartialResults
from lab.load.coordinator.provisioning import find_endpoints
from lab.load.job_runner import finish_run
from lab.load.metrics.run_folder import RunWriter
from lab.load.model.job import Job
from lab.load.model.spec import Load, Shard
from lab.load.worker.engine import DRAIN_TIMEOUT
from lab.locust.coordinator_process import FINAL_EVENTS, CoordinatorProcess
from lab.locust.options import plan_of
from lab.locust.statistics import MessageLost, Statistics

log = logging.getLogger("xmpplab")

#: Types of Locust's messages, see the module.
JOB_MESSAGE, COMMAND_MESSAGE, EVENT_MESSAGE = "xmpplab-job", "xmpplab-order", "xmpplab-event"
ABORT_MESSAGE = "xmpplab-end"

#: Seconds from a stop to the result: messages under way are received, users log out, connections close.
STOP_TIMEOUT = DRAIN_TIMEOUT + 30.0
#: Users who cannot reconnect that are logged one by one.
MAX_LOGGED_USERS = 3

#: Seconds from the moment when all users are online to the common start: time for the command to arrive.
START_DELAY = 0.5
#: Seconds after the end until samples hold everything that was sent, and the same after a command to stop.
SAMPLE_DELAY, STOP_DELAY = 0.1, 1.0
#: Seconds between two looks whether the others are still there.
CHECK_INTERVAL = 1.0
#: Seconds that workers have to be ready again after a stop, and between two looks whether they are.
READY_TIMEOUT, READY_POLL = 5.0, 0.05
#: Seconds without a heartbeat, which is sent each second, until a worker considers the master gone.
HEARTBEAT_TIMEOUT = 6.0


class LoadRun:
    """The part that is the same for all three."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.statistics = Statistics(environment)
        self.ended = Event()
        self.stop_requested = False
        self._users_lost = 0  # users who cannot reconnect

    @abstractmethod
    def start(self, job: Job) -> None:
        """Begin."""

    @abstractmethod
    def request_stop(self) -> None:
        """Stop early; `ended` is set once everything is counted."""

    def stop(self) -> None:
        """Stop early if the load still runs; returns once everything is counted, or after STOP_TIMEOUT."""
        if not self.ended.is_set():
            self.stop_requested = True
            self.request_stop()
            if not self.ended.wait(STOP_TIMEOUT):
                self.fail(PeerError(f"the load did not end within {STOP_TIMEOUT:g} s"))

    def on_event(self, event: dict[str, Any]) -> None:
        """Handle an event of a coordinator."""
        match event["event"]:
            case "sample":
                self.statistics.add_sample(event)
            case "lost":
                for route, count in event["routes"].items():
                    self.statistics.add_failures(route, MessageLost("never received"), count)
            case "failed":
                self.fail(decode_error(event))
            case "result":
                if event["interrupted"] and not self.stop_requested:
                    report_error(self.environment, PeerError(f"the load ended early: {event['interrupted']}"))
                self.end()
            case "gone":
                self._users_lost += 1
                if self._users_lost <= MAX_LOGGED_USERS:
                    log.warning("%s cannot reconnect: %s", event["user"], event["reason"])
            case "started":
                self.statistics.begin(event["at"] + event["warmup"])
                log_event(event)
            case _:
                log_event(event)

    def fail(self, error: LabError) -> None:
        """The load failed: report the error and end."""
        report_error(self.environment, error)
        self.end()

    def end(self) -> None:
        """Everything is counted: Locust ends, or its page shows a load that is over."""
        if not self.ended.is_set():
            self.ended.set()
            gevent.spawn(end_locust, self.environment)


class LocalLoadRun(LoadRun):
    """Locust in one process."""

    _coordinator: CoordinatorProcess | None = None

    def start(self, job: Job) -> None:
        """Start the coordinator."""
        self._coordinator = CoordinatorProcess(job, self.on_event)

    def request_stop(self) -> None:
        """Stop the coordinator."""
        if self._coordinator is not None:
            self._coordinator.stop()


class WorkerLoadRun(LoadRun):
    """A Locust worker: carries the part that the master assigns."""

    def __init__(self, environment: Environment, runner: WorkerRunner) -> None:
        super().__init__(environment)
        self._runner = runner
        self._coordinator: CoordinatorProcess | None = None

    def start(self, job: Job) -> None:
        """Start the coordinator of this part."""
        self._coordinator = CoordinatorProcess(job, self.on_event)
        gevent.spawn(self._watch_master)

    def command(self, command: dict[str, Any]) -> None:
        """Pass a command of the master on."""
        if self._coordinator is not None:
            self._coordinator.command(**command)

    def request_stop(self) -> None:
        """Ask the master to stop all parts, so that messages to and from these users are still counted.

        This part is stopped here as well, for the case that the master is gone.
        """
        self._send({"event": "stopping"})
        if self._coordinator is not None:
            self._coordinator.stop()

    def on_event(self, event: dict[str, Any]) -> None:
        """Count samples here, where Locust expects a worker's statistics, and send all events to the master."""
        if event["event"] == "sample":
            self.statistics.add_sample(event)
        elif event["event"] == "started":
            self.statistics.begin(event["at"] + event["warmup"])
        elif event["event"] == "result":
            metered = {name: event["result"][name] for name in ("usage", "links")}  # the master has the samples
            event = {**event, "result": metered}
        if event["event"] in FINAL_EVENTS:
            self._runner._send_stats()  # else the master gets the last three seconds after it has written its files
        self._send(event)
        if event["event"] in FINAL_EVENTS:
            self.ended.set()

    def _send(self, event: dict[str, Any]) -> None:
        self._runner.send_message(EVENT_MESSAGE, event)

    def _watch_master(self) -> None:
        """Without the master nobody could say that everything was received: this part then ends at once."""
        while not self.ended.wait(CHECK_INTERVAL):
            heartbeat = self._runner.last_heartbeat_timestamp
            if heartbeat is not None and time.time() - heartbeat > HEARTBEAT_TIMEOUT:
                log.error("the Locust master has ended: this part of the load ends, and its results are lost")
                self.command({"stop": True})
                self.command({"drained": True})
                return


class MasterLoadRun(LoadRun):
    """A Locust master: starts the workers' parts of the load and merges their results."""

    def __init__(self, environment: Environment, runner: MasterRunner) -> None:
        super().__init__(environment)
        self._runner = runner
        self._part_of: dict[str, int] = {}  # by Locust's name of a worker
        #: The start in seconds of the epoch, and the seconds after it from which nothing is sent.
        self._start = self._send_end = math.inf
        self._drained = False

    def start(self, job: Job) -> None:
        """Assign a part to each connected worker, in the order of Locust's worker indexes."""
        try:
            self._load = plan_load(job)
        except LabError as error:
            self.on_event(encode_event(error))
            return
        if job.folder is not None and not job.folder.is_dir():
            self.on_event(encode_event(UserError(f"{job.folder}: the folder of the run is not there")))
            return
        clients = self._runner.clients
        workers = clients.ready + clients.running + clients.spawning
        names = sorted((one.id for one in workers), key=self._runner.get_worker_index)
        self._part_of = {name: part for part, name in enumerate(names)}
        self._job = job
        self._writer = RunWriter(job)
        self._writer.__enter__()
        self._parts = PartialResults(self._load, len(names), job.workers, self._record)
        for client, part in self._part_of.items():
            own = replace(job, hold=True, shard=Shard(part, len(names)), folder=None)
            self._runner.send_message(JOB_MESSAGE, {"job": own.encode()}, client)
        gevent.spawn(self._watch_workers)

    def request_stop(self) -> None:
        """Stop all parts; from about now on nothing is sent."""
        self._send_end = min(self._send_end, time.time() - self._start + STOP_DELAY)
        self._command(stop=True)

    def wait_for_workers(self) -> None:
        """After a stop: return when all workers are ready for another load, or gone, or after READY_TIMEOUT.

        A worker first reports that it has stopped, and is then unknown to Locust until it reports that it is ready: a
        load that is started in between would do without it, and for a load without any worker Locust only logs a line.
        """
        deadline = time.monotonic() + READY_TIMEOUT
        while not all(map(self._is_ready, self._part_of)) and time.monotonic() < deadline:
            gevent.sleep(READY_POLL)

    def _is_ready(self, client: str) -> bool:
        clients = self._runner.clients
        if client not in clients:
            return False
        worker = clients[client]
        quits = worker.user_count > 0  # Locust quits and does not stop its workers first
        return quits or worker.state in (STATE_INIT, STATE_MISSING)

    def on_worker_event(self, client: str, event: dict[str, Any]) -> None:
        """Handle an event of a worker."""
        if self.ended.is_set() or client not in self._part_of:
            return  # of a load that was aborted
        if event["event"] == "stopping":
            self.stop_requested = True
            self.request_stop()
            return
        self._parts.on_event(self._part_of[client], event)
        if event["event"] == "failed" or event.get("interrupted"):
            self._stop_other_parts()
        if self._parts.connected and self._start == math.inf:
            self._start_parts()
        if not self._drained and self._parts.all_received(self._send_end):
            self._drained = True
            self._command(drained=True)
        self._end_if_over()

    def _start_parts(self) -> None:
        """All users of all parts are online: give all parts the same start."""
        self._start = time.time() + START_DELAY
        self._send_end = min(self._send_end, self._load.warmup + self._load.seconds + SAMPLE_DELAY)
        self._command(go_ns=time.perf_counter_ns() + int(START_DELAY * 1e9))  # exactly the same for all

    def _end_if_over(self) -> None:
        parts = self._parts
        if not parts.ended or self.ended.is_set():
            return
        if parts.failure is not None and not parts.started:
            self._record(encode_event(parts.failure))
        else:
            self._record(finish_run(self._writer, self._job, parts.outcome()))
        self._writer.__exit__()

    def _record(self, event: dict[str, Any]) -> None:
        """Write an event as a single coordinator would have. Locust gets samples by its workers' reports."""
        self._writer.write_event(json.dumps(event, separators=(",", ":")), event)
        if event["event"] != "sample":
            self.on_event(event)

    def _watch_workers(self) -> None:
        """A worker that is gone sends nothing any more: the others must not wait for it."""
        while not self.ended.wait(CHECK_INTERVAL):
            clients = self._runner.clients
            for client, part in self._part_of.items():
                if self._parts.has_ended(part):
                    continue
                if client not in clients or clients[client].state == STATE_MISSING:
                    self._parts.on_lost(part, f"a Locust worker has ended, and with it part {part + 1} of the load")
                    self._stop_other_parts()
                    self._end_if_over()

    def _stop_other_parts(self) -> None:
        """A part has ended before its time."""
        self.request_stop()
        if self._parts.incomplete:  # nobody can say any more whether everything was received
            self._command(drained=True)

    def _command(self, **command: Any) -> None:
        clients = self._runner.clients
        for client, part in self._part_of.items():
            if client in clients and not self._parts.has_ended(part):
                self._runner.send_message(COMMAND_MESSAGE, command, client)


def abort(environment: Environment, error: LabError) -> None:
    """This process cannot go on: end Locust, and report the error once, in the process that sets the exit status."""
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.send_message(ABORT_MESSAGE, encode_event(error))
    elif environment.process_exit_code is None:
        report_error(environment, error)
        gevent.spawn(end_locust, environment)


def report_error(environment: Environment, error: LabError) -> None:
    """Log an error, show it on Locust's page, and set Locust's exit status."""
    log.error("%s", error)
    environment.process_exit_code = get_exit_status(error)
    if environment.runner is not None and environment.web_ui is not None:
        environment.runner.log_exception("xmpplab", str(error), str(error))


def get_exit_status(error: LabError) -> int:
    """Locust's exit status for a load that failed: that of `xmpplab`, or 1 for errors without one of their own."""
    return exit_codes.get_exit_code(error, exit_codes.FAILED)


def end_locust(environment: Environment) -> None:
    """End Locust, or only the load where Locust has a page."""
    options, runner = environment.parsed_options, environment.runner
    if runner is None:
        return
    if options is not None and options.headless:
        runner.quit()
    else:
        runner.stop()


def log_event(event: dict[str, Any]) -> None:
    """Write an event to Locust's log."""
    match event:
        case {"event": "note", "text": text} | {"event": "progress", "text": text}:
            log.info("%s", text)
        case {"event": "progress", "online": online, "users": users}:
            log.info("%s of %s users are online", online, users)
        case {"event": "connected", "users": users}:
            log.info("%s users are online", users)
        case {"event": "started", "seconds": seconds, "warmup": warmup}:
            log.info("the load runs: %g s of warm-up, then %g s", warmup, seconds)


def plan_load(job: Job) -> Load:
    """The load of a job as far as the lab's plan gives it: without secrets, for planning only. Raises UserError."""
    where = find_endpoints(plan_of(job.lab), job.load.get("security", "starttls"))
    return Load(endpoints=where, password="", authority="", **job.load)
