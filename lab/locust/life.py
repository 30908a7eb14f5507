"""When what happens in a Locust process: hooks on Locust's events, the same alone, on a master and on a worker.

    init            the hooks are set; headless, `-t` becomes the length of the steady state: Locust's own clock would
                    start before anybody is online
    test_start      the job is made of the file and the options, and begun
    test_stopping   the load is stopped if it still runs, and Locust waits until all is counted

Nothing is started on import.
"""

from __future__ import annotations

import logging
from typing import Any

import gevent
from locust import events, stats
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from lab.errors import LabError
from lab.load.job import Job
from lab.locust import client, options
from lab.locust.course import Alone, Course, complain, leave
from lab.locust.together import EVENT, JOB, ORDER, Master, Worker

log = logging.getLogger("xmpplab")


class Life:
    """Of one Locust process; loads follow each other where there is a page."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._course: Course | None = None
        self._run_time: int | None = None

    def hook(self) -> None:
        """Listen."""
        runner, given = self._environment.runner, self._environment.parsed_options
        hooks = self._environment.events
        hooks.test_stopping.add_listener(self.stopping)
        hooks.test_stop.add_listener(client.close)
        if isinstance(runner, WorkerRunner):
            runner.register_message(JOB, self.begin_part)
            runner.register_message(ORDER, self.obey)
            hooks.report_to_master.add_listener(self.report)
            return
        hooks.test_start.add_listener(self.begin)
        if isinstance(runner, MasterRunner):
            runner.register_message(EVENT, self.take)
        if given is not None and given.spawn_rate is None:
            given.spawn_rate = options.LOGINS
        if given is not None and given.headless and self._ours():
            self._run_time, given.run_time = given.run_time, None
            log.info("the steady state lasts %s", f"{self._run_time} s" if self._run_time else "until it is stopped")

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
        except LabError as error:
            complain(environment, type(error).__name__, str(error))
            gevent.spawn(leave, environment)
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

    def stopping(self, **_: Any) -> None:
        """Locust is about to stop its users."""
        if self._course is None:
            return
        self._course.stop()
        given = self._environment.parsed_options
        if given is not None and given.csv_prefix:
            gevent.sleep(stats.CSV_STATS_INTERVAL_SEC + 0.1)  # Locust's files have the last seconds only then

    def _ours(self) -> bool:
        try:
            return options.the_class(self._environment.user_classes) is not None
        except LabError:  # told when the test starts
            return False


def prepare(environment: Environment, **_: Any) -> None:
    """Locust is set up in this process."""
    Life(environment).hook()


events.init.add_listener(prepare)
