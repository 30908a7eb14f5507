"""The user class of Locust files on the lab: `from lab.locust import XmppUser`."""

from __future__ import annotations

import contextlib
from typing import Any

from gevent import GreenletExit
from locust import User, constant

from lab.errors import LabError
from lab.locust.client import Client, new_client
from lab.locust.options import ENDLESS
from lab.locust.statistics import failed


def carried_by_the_engine(user: XmppUser) -> None:
    """The task of people with traffic: there is nothing to do for Locust."""


class XmppUser(User):
    """People of a federation, as many as Locust has users.

    With `traffic` the lab's engine carries all of them in processes of its own, open loop, and Locust shows what it
    counts; the class then has no tasks. Without it the class's own tasks write with `self.client`, which is logged in
    when they start (see lab.locust.client): closed loop, and some hundred messages a second at most.

    What is None is as the engine has it (`lab.load.model.spec.Load`). Options of Locust's command line come first.
    """

    abstract = True

    traffic: str | None = None
    """Who does what, see lab.load.workload.traffic_mix: "local", "neighbours", "social:degree=8",
    "3*room:size=20+1*archive"."""

    arrivals: str | None = None
    """When, see lab.load.workload.arrivals: "100/s", "poisson:1000/s", "step:100/s+100/s,each=10s",
    "closed:think=1s"."""

    body: int | None = None
    """Bytes of a message's body."""

    encryption: str | None = None
    """"plain" or "omemo" (OMEMO 0.3): keys and sessions are made before the clock starts."""

    warmup: float | None = None
    """Seconds before the steady state. Locust's statistics leave them out."""

    seed: int | None = None
    """Of who writes to whom, and of drawn arrivals: the same seed, the same plan."""

    generators: int = 1
    """Processes of the engine for each Locust process; each keeps one core."""

    def __init_subclass__(cls, **more: Any) -> None:
        """With traffic Locust is given something to do that does nothing, and leaves at once when it is told to."""
        super().__init_subclass__(**more)
        if cls.traffic is not None and not cls.tasks:
            cls.tasks = [carried_by_the_engine]
            cls.wait_time = constant(ENDLESS)

    client: Client
    """Without traffic: this person's client, logged in when the tasks start."""

    def on_start(self) -> None:
        """Without traffic: log in; call it if you have your own."""
        if self.traffic is None:
            self.client = new_client(self.environment, self.encryption or "plain")
            try:
                self.client.connect()
            except LabError as error:  # a failure like any other, and not this file's
                failed(self.environment, "login", error)
                raise GreenletExit from error  # Locust would log a trace of anything else

    def on_stop(self) -> None:
        """Without traffic: log out; call it if you have your own."""
        if self.traffic is None and hasattr(self, "client"):
            with contextlib.suppress(LabError, GreenletExit):  # the server has gone before us
                self.client.disconnect()
