"""Listeners on Locust's events: what a Locust process does when, the same alone, on a master and on a worker.

    init            report errors that are known by now and end Locust; add the other listeners; headless: take `-t` as
                    the length of the steady state, since Locust's own clock would start before users are online
    test_start      make the job of the file and the options, and start the load
    test_stopping   stop the load if it still runs; Locust waits until everything is counted
    test_stop       on a master: wait until its workers can be given another load
    quitting        on a worker: the same as test_stopping, before Locust tells the master that the worker quits

Nothing is started on import. See lab.locust.signals for Ctrl-C.
"""

from __future__ import annotations

import errno
import logging
import socket
import sys
from argparse import Namespace
from types import TracebackType
from typing import Any

import gevent
from locust import events, stats
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import MasterRunner, WorkerRunner

from lab.errors import LabError, UserError, decode_error
from lab.load.model.job import Job
from lab.locust import client, load_job, signals
from lab.locust.load_run import (
    ABORT_MESSAGE,
    COMMAND_MESSAGE,
    EVENT_MESSAGE,
    JOB_MESSAGE,
    LoadRun,
    LocalLoadRun,
    MasterLoadRun,
    WorkerLoadRun,
    abort,
    get_exit_status,
)
from lab.locust.options import select_lab

log = logging.getLogger("xmpplab")


class Hooks:
    """The listeners of one Locust process; with a web page one load may follow another."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._run: LoadRun | None = None
        self._run_time: int | None = None

    def add_listeners(self) -> None:
        """Add all listeners. Ends this process if its load could not be carried."""
        runner, options = self._environment.runner, self._environment.parsed_options
        hooks = self._environment.events
        signals.install(self._environment)
        if not isinstance(runner, WorkerRunner):  # a worker gets everything from its master
            self._check()
        hooks.test_stopping.add_listener(self.on_stopping)
        hooks.test_stop.add_listener(client.close_clients)
        if isinstance(runner, WorkerRunner):
            runner.register_message(JOB_MESSAGE, self.on_job)
            runner.register_message(COMMAND_MESSAGE, self.on_command)
            hooks.report_to_master.add_listener(self.on_report)
            hooks.quitting.add_listener(self.on_stopping)  # before Locust's own listener: they are called in reverse
            hooks.quitting.add_listener(self.write_no_json)
            return
        hooks.test_start.add_listener(self.on_start)
        if isinstance(runner, MasterRunner):
            runner.register_message(EVENT_MESSAGE, self.on_worker_event)
            runner.register_message(ABORT_MESSAGE, self.on_abort)
            hooks.test_stop.add_listener(self.on_stopped)
        if options is not None and options.spawn_rate is None:
            options.spawn_rate = load_job.LOGIN_RATE
        has_traffic = load_job.find_class_with_traffic(self._environment.user_classes) is not None
        if options is not None and options.headless and has_traffic:
            self._run_time, options.run_time = options.run_time, None
            log.info("the steady state lasts %s", f"{self._run_time} s" if self._run_time else "until it is stopped")

    def _check(self) -> None:
        """Report errors of file and options before anything happens; without a page the whole job is checked."""
        options, classes = self._environment.parsed_options, self._environment.user_classes
        try:
            user = load_job.find_class_with_traffic(classes)
            check_web_port(options)
            select_lab(options)
            if user is not None and options is not None and options.headless:
                parts = options.expect_workers if options.master else 1
                load_job.check_job(load_job.make_job(user, options, options.num_users or 1), parts)
        except LabError as error:
            log.error("%s", error)  # noqa: TRY400 - one sentence: the traceback would tell the user nothing
            sys.exit(get_exit_status(error))

    def on_start(self, **_: Any) -> None:
        """A test starts: start the load, if the file has one."""
        environment = self._environment
        runner, options = environment.runner, environment.parsed_options
        assert runner is not None
        assert options is not None
        environment.process_exit_code = None
        try:
            user = load_job.find_class_with_traffic(environment.user_classes)
            if user is None:
                return
            options = type(options)(**{**vars(options), "run_time": options.run_time or self._run_time})
            job = load_job.make_job(user, options, runner.target_user_count)
            load_job.check_job(job, getattr(runner, "worker_count", 1))
            job = load_job.add_run_folder(job, options)
        except LabError as error:
            abort(environment, error)
            return
        run = MasterLoadRun(environment, runner) if isinstance(runner, MasterRunner) else LocalLoadRun(environment)
        self._run = run
        run.start(job)

    def on_job(self, msg: Any, **_: Any) -> None:
        """The master assigns a part of a load to this worker."""
        runner = self._environment.runner
        assert isinstance(runner, WorkerRunner)
        run = self._run = WorkerLoadRun(self._environment, runner)
        run.start(Job.decode(msg.data["job"]))

    def write_no_json(self, **_: Any) -> None:
        """The master writes the file of statistics; Locust's workers would overwrite it with empty ones."""
        if (options := self._environment.parsed_options) is not None:
            options.json_file = None

    def on_command(self, msg: Any, **_: Any) -> None:
        """A command of the master."""
        if isinstance(self._run, WorkerLoadRun):
            self._run.command(msg.data)

    def on_report(self, data: dict[str, Any], **_: Any) -> None:
        """Locust makes this worker's report to the master."""
        if isinstance(self._run, WorkerLoadRun):
            self._run.statistics.adjust_report(data)

    def on_worker_event(self, msg: Any, **_: Any) -> None:
        """An event of a worker."""
        if isinstance(self._run, MasterLoadRun):
            self._run.on_worker_event(msg.node_id, msg.data)

    def on_abort(self, msg: Any, **_: Any) -> None:
        """A worker's users cannot go on."""
        abort(self._environment, decode_error(msg.data))

    def on_stopped(self, **_: Any) -> None:
        """This master's users have stopped."""
        if isinstance(self._run, MasterLoadRun):
            self._run.wait_for_workers()

    def on_stopping(self, **_: Any) -> None:
        """Locust is about to stop its users."""
        if self._run is None:
            return
        self._run.stop()
        options = self._environment.parsed_options
        if options is not None and options.csv_prefix:
            gevent.sleep(stats.CSV_STATS_INTERVAL_SEC + 0.1)  # Locust writes the last seconds to its files only then


def check_web_port(options: Namespace | None) -> None:
    """Raises UserError if Locust's page could not listen where the options say. Call it before the page is started."""
    if options is None or options.headless or options.worker:
        return
    host = "" if options.web_host == "*" else options.web_host
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, options.web_port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise UserError(
            f"port {options.web_port} of {host or 'this machine'} {why}: choose another with --web-port, "
            "or take --headless"
        ) from error


def report_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """As Python reports an error that nothing has caught; a master that cannot listen in one sentence."""
    if isinstance(error, RPCError) and "bind failure" in str(error):
        print(
            f"xmpplab: Locust's master cannot listen ({error}): another one may run; choose another port with "
            "--master-bind-port",
            file=sys.stderr,
        )
        return
    sys.__excepthook__(kind, error, trace)


def on_init(environment: Environment, **_: Any) -> None:
    """Locust is set up in this process."""
    Hooks(environment).add_listeners()


events.init.add_listener(on_init)
if sys.excepthook is sys.__excepthook__:  # nobody else has one, such as a debugger
    sys.excepthook = report_uncaught
