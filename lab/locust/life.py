"""When what happens in a Locust process: hooks on Locust's events, the same alone, on a master and on a worker.

    init            what cannot be is said, and Locust ends; the hooks are set; headless, `-t` becomes the length of the
                    steady state: Locust's own clock would start before anybody is online
    test_start      the job is made of the file and the options, and begun
    test_stopping   the load is stopped if it still runs, and Locust waits until all is counted
    test_stop       on a master, which waits until its workers can be given another load
    quitting        on a worker, which tells its master that it goes when this has happened

Nothing is started on import. Ctrl-C comes here, see lab.locust.ending.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import gevent
from locust import events, stats
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from lab.errors import LabError, decode_error
from lab.load.model.job import Job
from lab.locust import client, ending, options
from lab.locust.course import Alone, Course, exit_status
from lab.locust.together import END, EVENT, JOB, ORDER, Master, Worker, give_up

log = logging.getLogger("xmpplab")


class Life:
    """Of one Locust process; loads follow each other where there is a page."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._course: Course | None = None
        self._run_time: int | None = None

    def hook(self) -> None:
        """Listen. Ends this process where nothing could come of it."""
        runner, given = self._environment.runner, self._environment.parsed_options
        hooks = self._environment.events
        ending.prepare(self._environment)
        if not isinstance(runner, WorkerRunner):  # which hears all of it from its master
            self._check()
        hooks.test_stopping.add_listener(self.stopping)
        hooks.test_stop.add_listener(client.close)
        if isinstance(runner, WorkerRunner):
            runner.register_message(JOB, self.begin_part)
            runner.register_message(ORDER, self.obey)
            hooks.report_to_master.add_listener(self.report)
            hooks.quitting.add_listener(self.stopping)  # before Locust's own listener: these are called in reverse
            hooks.quitting.add_listener(self.leave_files_alone)
            return
        hooks.test_start.add_listener(self.begin)
        if isinstance(runner, MasterRunner):
            runner.register_message(EVENT, self.take)
            runner.register_message(END, self.give_up)
            hooks.test_stop.add_listener(self.stopped)
        if given is not None and given.spawn_rate is None:
            given.spawn_rate = options.LOGINS
        if given is not None and given.headless and options.the_class(self._environment.user_classes) is not None:
            self._run_time, given.run_time = given.run_time, None
            log.info("the steady state lasts %s", f"{self._run_time} s" if self._run_time else "until it is stopped")

    def _check(self) -> None:
        """What is wrong is said before anything happens, and without a page all of it."""
        given, classes = self._environment.parsed_options, self._environment.user_classes
        try:
            user = options.the_class(classes)
            options.lab_of(given)
            if user is not None and given is not None and given.headless:
                parts = given.expect_workers if given.master else 1
                options.check(options.job(user, given, given.num_users or 1), parts)
        except LabError as error:
            log.error("%s", error)  # noqa: TRY400 - one sentence, and where it was raised is nobody's business
            sys.exit(exit_status(error))

    def begin(self, **_: Any) -> None:
        """A test starts: begin the load, if the file has one."""
        environment = self._environment
        runner, given = environment.runner, environment.parsed_options
        assert runner is not None
        assert given is not None
        environment.process_exit_code = None
        try:
            user = options.the_class(environment.user_classes)
            if user is None:
                return
            given = type(given)(**{**vars(given), "run_time": given.run_time or self._run_time})
            job = options.job(user, given, runner.target_user_count)
            options.check(job, getattr(runner, "worker_count", 1))
            job = options.with_folder(job, given)
        except LabError as error:
            give_up(environment, error)
            return
        course = Master(environment, runner) if isinstance(runner, MasterRunner) else Alone(environment)
        self._course = course
        course.start(job)

    def begin_part(self, msg: Any, **_: Any) -> None:
        """The master hands out a part."""
        runner = self._environment.runner
        assert isinstance(runner, WorkerRunner)
        course = self._course = Worker(self._environment, runner)
        course.start(Job.decode(msg.data["job"]))

    def leave_files_alone(self, **_: Any) -> None:
        """The master writes the file of statistics; Locust's workers would write theirs, which are empty, over it."""
        if (given := self._environment.parsed_options) is not None:
            given.json_file = None

    def obey(self, msg: Any, **_: Any) -> None:
        """An order of the master."""
        if isinstance(self._course, Worker):
            self._course.order(msg.data)

    def report(self, data: dict[str, Any], **_: Any) -> None:
        """This worker reports to the master."""
        if isinstance(self._course, Worker):
            self._course.report(data)

    def take(self, msg: Any, **_: Any) -> None:
        """An event of a worker."""
        if isinstance(self._course, Master):
            self._course.take(msg.node_id, msg.data)

    def give_up(self, msg: Any, **_: Any) -> None:
        """Of a worker, whose people cannot go on."""
        give_up(self._environment, decode_error(msg.data))

    def stopped(self, **_: Any) -> None:
        """This master's users have stopped."""
        if isinstance(self._course, Master):
            self._course.regain()

    def stopping(self, **_: Any) -> None:
        """Locust is about to stop its users."""
        if self._course is None:
            return
        self._course.stop()
        given = self._environment.parsed_options
        if given is not None and given.csv_prefix:
            gevent.sleep(stats.CSV_STATS_INTERVAL_SEC + 0.1)  # Locust's files have the last seconds only then


def prepare(environment: Environment, **_: Any) -> None:
    """Locust is set up in this process."""
    Life(environment).hook()


events.init.add_listener(prepare)
