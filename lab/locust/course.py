"""A load's course in one Locust process that carries or watches it: start, what is told, stop, end.

    Locust alone    a conductor, this process's own
    worker          a conductor for the part that the master hands out, see lab.locust.together
    master          no conductor: it brings the workers' together

Whatever ends a load (its time, Ctrl-C, the page, a failure), Locust ends or goes back to its page when all is counted.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any

import gevent
from gevent.event import Event
from locust.env import Environment

from lab import exit_codes
from lab.errors import LabError, PeerError, decode_error
from lab.load.model.job import Job
from lab.load.worker.engine import DRAIN
from lab.locust.conductor import Conductor
from lab.locust.statistics import Lost, Statistics

log = logging.getLogger("xmpplab")

#: Seconds from a stop to the result: what is under way drains, users log out, connections close.
PATIENCE = DRAIN + 30.0

#: Users who cannot return that are named one by one.
NAMED = 3


class Course:
    """What the three have in common."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.statistics = Statistics(environment)
        self.ended = Event()
        self.asked = False  # to stop early
        self._gone = 0  # users who cannot return

    @abstractmethod
    def start(self, job: Job) -> None:
        """Begin."""

    @abstractmethod
    def ask_to_stop(self) -> None:
        """Stop early; `ended` is set once all is counted."""

    def stop(self) -> None:
        """Stop early if it still runs; returns once all is counted."""
        if not self.ended.is_set():
            self.asked = True
            self.ask_to_stop()
            if not self.ended.wait(PATIENCE):
                self.failed(PeerError(f"the load did not end within {PATIENCE:g} s"))

    def handle(self, event: dict[str, Any]) -> None:
        """What a conductor tells."""
        match event["event"]:
            case "sample":
                self.statistics.take(event)
            case "lost":
                self.lost(event["routes"])
            case "failed":
                self.failed(decode_error(event))
            case "result":
                if event["interrupted"] and not self.asked:
                    complain(self.environment, PeerError(f"the load ended early: {event['interrupted']}"))
                self.end()
            case "gone":
                self._gone += 1
                if self._gone <= NAMED:
                    log.warning("%s is gone: %s", event["user"], event["reason"])
            case "started":
                self.statistics.begin(event["at"] + event["warmup"])
                tell(event)
            case _:
                tell(event)

    def lost(self, routes: dict[str, int]) -> None:
        """Count what never came, by route."""
        for route, count in routes.items():
            self.statistics.failed(route, Lost("never came"), count)

    def failed(self, error: LabError) -> None:
        """The load broke off."""
        complain(self.environment, error)
        self.end()

    def end(self) -> None:
        """All is counted: Locust ends, or its page shows a load that is over."""
        if not self.ended.is_set():
            self.ended.set()
            gevent.spawn(leave, self.environment)


class Alone(Course):
    """Locust in one process."""

    _conductor: Conductor | None = None

    def start(self, job: Job) -> None:
        """Start the conductor."""
        self._conductor = Conductor(job, self.handle)

    def ask_to_stop(self) -> None:
        """Pass it on."""
        if self._conductor is not None:
            self._conductor.stop()


def complain(environment: Environment, error: LabError) -> None:
    """Log an error, which Locust's page shows as well; Locust's exit status is `exit_status` of it."""
    log.error("%s", error)
    environment.process_exit_code = exit_status(error)
    if environment.runner is not None and environment.web_ui is not None:
        environment.runner.log_exception("xmpplab", str(error), str(error))


def exit_status(error: LabError) -> int:
    """Locust's exit status for a load that failed: as that of `xmpplab`, but 1 where that has none of its own."""
    return exit_codes.of_error(error, exit_codes.FAILED)


def leave(environment: Environment) -> None:
    """End Locust, or where it has a page the load."""
    options, runner = environment.parsed_options, environment.runner
    if runner is None:
        return
    if options is not None and options.headless:
        runner.quit()
    else:
        runner.stop()


def tell(event: dict[str, Any]) -> None:
    """An event for people, in Locust's log."""
    match event:
        case {"event": "note", "text": text} | {"event": "progress", "text": text}:
            log.info("%s", text)
        case {"event": "progress", "online": online, "users": users}:
            log.info("%s of %s users are online", online, users)
        case {"event": "connected", "users": users}:
            log.info("%s users are online", users)
        case {"event": "started", "seconds": seconds, "warmup": warmup}:
            log.info("the load runs: %g s of warm-up, then %g s", warmup, seconds)
