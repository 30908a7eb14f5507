"""The user class of Locust files on the lab: `from lab.locust import XmppUser`."""

from __future__ import annotations

import contextlib
from typing import Any

from gevent import GreenletExit
from locust import User, constant

from lab.errors import LabError
from lab.locust.client import Client, make_client
from lab.locust.statistics import fire_failure

#: Seconds of a load without an end: it runs until it is stopped.
ENDLESS = 86_400.0


def sleep_idle(user: XmppUser) -> None:
    """The task of users with traffic, which the engine carries: Locust has nothing to do."""


class XmppUser(User):
    """Users of a federation, as many as Locust has users, dealt round-robin over the lab's servers.

    With `traffic` the lab's engine carries all of them in processes of its own (open loop: messages are sent when they
    are due, whatever was answered), and Locust shows what it counts; the class then has no tasks. Without `traffic` the
    class's own tasks send with `self.client`, which is logged in when they start (see lab.locust.client): closed loop,
    and at most some hundred messages per second.

    An attribute that is None has the engine's default (`lab.load.model.spec.Load`). Options of Locust's command line
    come before attributes. Values that make no sense end Locust with exit status 64 and one sentence before any login.
    """

    abstract = True

    traffic: str | None = None
    """Who does what: a kind of traffic or a mix of several, such as "local", "neighbours", "social:degree=8" or
    "3*room:size=20+1*archive" (lab.load.workload.traffic; rooms are XEP-0045, archives XEP-0313)."""

    arrivals: str | None = None
    """When actions are due, with rates per second of all users together: "100/s", "poisson:1000/s",
    "step:100/s+100/s,each=10s", or "closed:think=1s" for the closed model (lab.load.workload.arrivals)."""

    body: int | None = None
    """Length of a message's body in bytes."""

    encryption: str | None = None
    """"plain", "omemo" (XEP-0384 version 0.3), "omemo:2" or "otr"; sessions are made before the clock starts."""

    warmup: float | None = None
    """Seconds of load before the steady state. Locust's statistics do not include them."""

    seed: int | None = None
    """Seed of who writes to whom, and of random arrivals: the same seed gives the same plan."""

    generators: int = 1
    """Processes of the engine for each Locust process; each keeps one core busy."""

    def __init_subclass__(cls, **more: Any) -> None:
        """With traffic: give Locust a task that does nothing and ends at once when it is told to stop."""
        super().__init_subclass__(**more)
        if cls.traffic is not None and not cls.tasks:
            cls.tasks = [sleep_idle]
            cls.wait_time = constant(ENDLESS)

    client: Client
    """Without traffic: this user's client, logged in when the tasks start."""

    def on_start(self) -> None:
        """Without traffic: log in; returns once `self.client` is online. An `on_start` of your own must call it.

        A login that fails is counted by Locust as a failure of "login", and ends this user: raises GreenletExit.
        """
        if self.traffic is None:
            self.client = make_client(self.environment, self.encryption or "plain")
            try:
                self.client.connect()
            except LabError as error:  # counted like other failures: it is no error of this file
                fire_failure(self.environment, "login", error)
                raise GreenletExit from error  # Locust would log a trace of any other exception

    def on_stop(self) -> None:
        """Without traffic: log out; returns once the server has closed the stream. An `on_stop` of your own must call
        it. Raises nothing if the server is gone already.
        """
        if self.traffic is None and hasattr(self, "client"):
            with contextlib.suppress(LabError, GreenletExit):  # the server may be gone
                self.client.disconnect()
