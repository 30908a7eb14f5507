"""`self.client` of people with tasks of their own: real clients in an agent, each step asked for and awaited.

    friend = self.client.somebody()             another one of this Locust process who can be reached
    sent = self.client.send(friend, "hello")    handed to the stream, encrypted if the class says so
    sent.outcome(timeout=30)                    waits for the delivery or the bounce, and counts it

A delivery is counted on its route like the engine's, from the call of `send` to the receiver's hands (decrypted, if it
was encrypted). It costs about a millisecond of processor time, plain: for what the engine has no traffic for.
"""

from __future__ import annotations

import functools
import itertools
import json
import random
import secrets
import sys
import time
from typing import Any

import gevent
from gevent import GreenletExit, subprocess
from gevent.event import AsyncResult, Event
from locust.env import Environment

from lab.errors import LabError, PeerError, TimedOut, decode_error
from lab.locust import options
from lab.locust.conductor import environment as environment_of_children
from lab.locust.statistics import Bounced, Lost, kind
from lab.locust.together import give_up

Json = dict[str, Any]

#: Seconds for a login with an account that is made first, and for any other answer.
PATIENCE = 90.0
#: Seconds until somebody else is online.
COMPANY = 60.0


class Bridge:
    """The one child process of a Locust process that its clients share, see lab.load.coordinator.locust_bridge."""

    def __init__(self, environment: Environment, lab: str) -> None:
        self.environment = environment
        self.online: dict[str, Client] = {}  # by bare JID
        self.sent: dict[str, Sent] = {}  # by id
        self._numbers = itertools.count(1)
        self._answers: dict[int, AsyncResult[Json]] = {}
        self._ready, self._trouble = Event(), ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.load.coordinator.locust_bridge"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment_of_children(),
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._closing = False
        self._say({"lab": lab})
        gevent.spawn(self._read)

    def call(self, op: str, device: str | None = None, **fields: Any) -> Json:
        """Ask, and wait for the answer. Raises UserError, TimedOut, PeerError; GreenletExit with nobody left to ask."""
        self._ready.wait()
        if self._trouble:
            raise GreenletExit
        number = next(self._numbers)
        answer: AsyncResult[Json] = AsyncResult()
        self._answers[number] = answer
        self._say({"id": number, "op": op, "device": device, **fields})
        try:
            result = answer.get(timeout=PATIENCE) or {}
        except gevent.Timeout:
            raise TimedOut(f"no answer to {op} within {PATIENCE:g} s") from None
        finally:
            del self._answers[number]
        if self._trouble:
            raise GreenletExit
        if (error := result.get("error")) is not None:
            raise decode_error(error)
        ok: Json = result["ok"]
        return ok

    def close(self) -> None:
        """Everybody logs out; returns once the process is gone."""
        self._closing = True
        self._in.close()
        self._process.wait()

    def _say(self, message: Json) -> None:
        try:
            self._in.write(json.dumps(message).encode() + b"\n")
            self._in.flush()
        except (BrokenPipeError, ValueError):  # it has ended: `_read` tells everybody
            return

    def _read(self) -> None:
        for line in self._out:
            message = json.loads(line)
            if "event" in message:
                self._hear(message)
            elif (waiting := self._answers.get(message["id"])) is not None:
                waiting.set(message)
        self._give_up(PeerError("the agent of this load's people has ended"))

    def _give_up(self, why: LabError) -> None:
        """Nobody can be asked any more: that is said once, and the load ends; whoever waits is told to stop."""
        if not self._trouble:
            self._trouble = str(why)
            if not self._closing:
                give_up(self.environment, why)
        self._ready.set()
        for waiting in self._answers.values():
            waiting.set({})

    def _hear(self, event: Json) -> None:
        name, sent = event["event"], self.sent.get(event.get("message", ""))
        if name == "ready":
            self._ready.set()
        elif name == "failed":
            self._give_up(decode_error(event))
        elif sent is None:
            return
        elif name == "decrypted" or (name == "delivered" and event["encrypted"] is None):
            sent.settle(None)
        elif name == "not-decrypted":
            sent.settle(Bounced(f"not decrypted: {event['reason']}"))
        elif name == "bounced":
            sent.settle(Bounced(event["condition"]))


class Sent:
    """A message on its way."""

    def __init__(self, bridge: Bridge, route: str) -> None:
        self.id = f"locust-{random.getrandbits(64):016x}"
        self._bridge, self._route = bridge, route
        self._began, self._took = time.perf_counter(), 0.0
        self._settled: AsyncResult[LabError | None] = AsyncResult()
        bridge.sent[self.id] = self

    def settle(self, error: LabError | None) -> None:
        """It has come, or come back; the first counts."""
        if not self._settled.ready():
            self._took = time.perf_counter() - self._began
            self._settled.set(error)

    def outcome(self, timeout: float = 30.0) -> bool:
        """Wait at most `timeout` seconds, count it for Locust; True if it was delivered."""
        try:
            error = self._settled.get(timeout=timeout)
        except gevent.Timeout:
            error = Lost(f"never came, within {timeout:g} s")
        self._bridge.sent.pop(self.id, None)
        self._bridge.environment.events.request.fire(
            request_type=kind(self._route),
            name=self._route,
            response_time=None if isinstance(error, Lost) else 1000 * self._took,
            response_length=0,
            exception=error,
            context={},
        )
        return error is None


class Client:
    """One person with one device."""

    def __init__(self, bridge: Bridge, user: str, number: int, encryption: str) -> None:
        self.jid = self.server = ""
        self.encryption = encryption
        self._bridge, self._user, self._number = bridge, user, number
        self._reaches: set[str] = set()

    def connect(self) -> None:
        """Make the account and log in; returns once presence is sent, and with OMEMO others can encrypt. PeerError."""
        answer = self._bridge.call("enter", user=self._user, number=self._number, encryption=self.encryption)
        self.jid, self.server, self._reaches = answer["jid"], answer["server"], {*answer["reaches"]}
        self._bridge.online[self.jid] = self

    def disconnect(self) -> None:
        """Log out; returns once the server has closed the stream."""
        if self._bridge.online.pop(self.jid, None) is not None:
            self._bridge.call("disconnect", self.jid)

    def somebody(self, *, local: bool = False) -> Client:
        """Somebody else of this Locust process on one's own or (unless `local`) a linked server, drawn evenly.

        Waits until there is one. Raises TimedOut.
        """
        deadline = time.monotonic() + COMPANY
        while True:
            servers = {self.server} if local else self._reaches
            others = [one for one in self._bridge.online.values() if one.server in servers and self._can_write(one)]
            if others:
                return random.choice(others)  # noqa: S311 - a load is no secret
            if time.monotonic() > deadline:
                raise TimedOut(f"nobody else whom {self.jid} can reach came online within {COMPANY:g} s: more users?")
            gevent.sleep(0.1)

    def _can_write(self, one: Client) -> bool:
        return one is not self and self.encryption in ("plain", one.encryption)

    def send(self, to: Client, text: str) -> Sent:
        """Send a message; returns once it is handed to the stream, or cannot be: that is its outcome then."""
        sent = Sent(self._bridge, "local" if self.server == to.server else f"{self.server}->{to.server}")
        try:
            self._bridge.call("send", self.jid, to=to.jid, body=text, message=sent.id)
        except LabError as error:
            sent.settle(error)
        except BaseException:
            self._bridge.sent.pop(sent.id, None)
            raise
        return sent

    def call(self, op: str, **fields: Any) -> Json:
        """Any request of the agent protocol, see docs/agents.md. Raises UserError, TimedOut, PeerError."""
        return self._bridge.call(op, self.jid, **fields)


_shared: list[Bridge] = []
_count = itertools.count()


@functools.cache
def _token() -> str:
    """People of this process are nobody else's, and nobody's of an earlier load. Drawn late: Locust forks."""
    return secrets.token_hex(3)


def new_client(environment: Environment, encryption: str) -> Client:
    """A new person, not connected yet; servers are dealt round-robin. Raises UserError without a lab."""
    if not _shared:
        _shared.append(Bridge(environment, options.lab_of(environment.parsed_options)))
    number = next(_count)
    first = max(0, getattr(environment.runner, "worker_index", 0))
    return Client(_shared[0], f"locust-{_token()}-{number}", first + number, encryption)


def close(**_: Any) -> None:
    """The test is over: nobody of this process is online any more once this returns."""
    while _shared:
        _shared.pop().close()
