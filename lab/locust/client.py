"""`self.client` of users with tasks of their own: a real client in an agent, each request sent and awaited.

    friend = self.client.somebody()             another user of this Locust process who can receive messages
    sent = self.client.send(friend, "hello")    sent on the stream, encrypted if the class says so
    sent.outcome(timeout=30)                    waits for the delivery or the bounce, and counts it

A delivery is counted on its route like the engine's, from the call of `send` until the receiver has the message
(decrypted, if it was encrypted). A plain message costs about a millisecond of processor time: these clients are for
what the engine has no traffic for.
"""

from __future__ import annotations

import functools
import itertools
import json
import random
import secrets
import time
from typing import Any

import gevent
from gevent import GreenletExit, subprocess
from gevent.event import AsyncResult, Event
from locust.env import Environment

from lab.errors import LabError, PeerError, TimedOut, decode_error
from lab.locust.load_run import abort
from lab.locust.options import select_lab
from lab.locust.statistics import MessageBounced, MessageLost, get_request_type
from lab.system.subprocesses import build_python_command

Json = dict[str, Any]

#: Seconds until an answer is given up; a login includes the making of the account.
ANSWER_TIMEOUT = 90.0
#: Seconds until another user must be online.
ONLINE_TIMEOUT = 60.0


class BridgeClient:
    """The one child process of a Locust process that its clients share, see lab.load.coordinator.locust_bridge."""

    def __init__(self, environment: Environment, lab: str) -> None:
        self.environment = environment
        self.online: dict[str, Client] = {}  # by bare JID
        self.pending: dict[str, PendingMessage] = {}  # by id
        self._numbers = itertools.count(1)
        self._answers: dict[int, AsyncResult[Json]] = {}
        self._ready, self._error = Event(), ""
        self._process = subprocess.Popen(
            build_python_command("lab.load.coordinator.locust_bridge"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._closing = False
        self._write({"lab": lab})
        gevent.spawn(self._read)

    def call(self, op: str, device: str | None = None, **fields: Any) -> Json:
        """Send a request and wait for the answer; its "ok" object.

        Raises UserError, TimedOut, PeerError; GreenletExit if the bridge has ended.
        """
        self._ready.wait()
        if self._error:
            raise GreenletExit
        number = next(self._numbers)
        answer: AsyncResult[Json] = AsyncResult()
        self._answers[number] = answer
        self._write({"id": number, "op": op, "device": device, **fields})
        try:
            result = answer.get(timeout=ANSWER_TIMEOUT) or {}
        except gevent.Timeout:
            raise TimedOut(f"no answer to {op} within {ANSWER_TIMEOUT:g} s") from None
        finally:
            del self._answers[number]
        if self._error:
            raise GreenletExit
        if (error := result.get("error")) is not None:
            raise decode_error(error)
        ok: Json = result["ok"]
        return ok

    def close(self) -> None:
        """Log all clients out; returns once the process has ended."""
        self._closing = True
        self._in.close()
        self._process.wait()

    def _write(self, message: Json) -> None:
        try:
            self._in.write(json.dumps(message).encode() + b"\n")
            self._in.flush()
        except (BrokenPipeError, ValueError):  # the process has ended: `_read` reports it
            return

    def _read(self) -> None:
        for line in self._out:
            message = json.loads(line)
            if "event" in message:
                self._on_event(message)
            elif (waiting := self._answers.get(message["id"])) is not None:
                waiting.set(message)
        self._fail(PeerError("the agent of this load's clients has ended"))

    def _fail(self, error: LabError) -> None:
        """No request can be answered any more: report that once, end the load, and end all waiting greenlets."""
        if not self._error:
            self._error = str(error)
            if not self._closing:
                abort(self.environment, error)
        self._ready.set()
        for waiting in self._answers.values():
            waiting.set({})

    def _on_event(self, event: Json) -> None:
        name, sent = event["event"], self.pending.get(event.get("message", ""))
        if name == "ready":
            self._ready.set()
        elif name == "failed":
            self._fail(decode_error(event))
        elif sent is None:
            return
        elif name == "decrypted" or (name == "delivered" and event["encrypted"] is None):
            sent.settle(None)
        elif name == "not-decrypted":
            sent.settle(MessageBounced(f"not decrypted: {event['reason']}"))
        elif name == "bounced":
            sent.settle(MessageBounced(event["condition"]))


class PendingMessage:
    """A message that was sent. `id` is the id of its stanza."""

    def __init__(self, bridge: BridgeClient, route: str) -> None:
        self.id = f"locust-{random.getrandbits(64):016x}"
        self._bridge, self._route = bridge, route
        self._began, self._seconds = time.perf_counter(), 0.0
        self._settled: AsyncResult[LabError | None] = AsyncResult()
        bridge.pending[self.id] = self

    def settle(self, error: LabError | None) -> None:
        """The message was delivered (None), or failed with `error`; only the first call counts."""
        if not self._settled.ready():
            self._seconds = time.perf_counter() - self._began
            self._settled.set(error)

    def outcome(self, timeout: float = 30.0) -> bool:
        """Wait at most `timeout` seconds for the delivery or the bounce (RFC 6120 section 8.3), and count it.

        Returns True if the message was delivered. Locust gets the delay in milliseconds, or a failure: a bounce with
        its condition, or a loss if nothing was received in time. Raises nothing for these. To be called once.
        """
        try:
            error = self._settled.get(timeout=timeout)
        except gevent.Timeout:
            error = MessageLost(f"never received, within {timeout:g} s")
        self._bridge.pending.pop(self.id, None)
        self._bridge.environment.events.request.fire(
            request_type=get_request_type(self._route),
            name=self._route,
            response_time=None if isinstance(error, MessageLost) else 1000 * self._seconds,
            response_length=0,
            exception=error,
            context={},
        )
        return error is None


class Client:
    """One user with one device: `jid` is the bare JID, `server` the name of the user's server in the topology.

    Each method raises GreenletExit, which ends the Locust user, once the lab or the agent has ended.
    """

    def __init__(self, bridge: BridgeClient, user: str, number: int, encryption: str) -> None:
        """Of `self.client`: `number` is the number of this user, which chooses the server in turn."""
        self.jid = self.server = ""
        self.encryption = encryption
        self._bridge, self._user, self._number = bridge, user, number
        self._reachable: set[str] = set()  # servers

    def connect(self) -> None:
        """Make the account and log in; returns once initial presence (RFC 6121 section 4.2) is sent.

        With OMEMO (XEP-0384) others can encrypt to this device then. Raises PeerError if the server refuses, TimedOut
        if there is no answer within 90 seconds.
        """
        answer = self._bridge.call("enter", user=self._user, number=self._number, encryption=self.encryption)
        self.jid, self.server, self._reachable = answer["jid"], answer["server"], {*answer["reaches"]}
        self._bridge.online[self.jid] = self

    def disconnect(self) -> None:
        """Log out; returns once the server has closed the stream (RFC 6120 section 4.4). Raises PeerError, TimedOut."""
        if self._bridge.online.pop(self.jid, None) is not None:
            self._bridge.call("disconnect", self.jid)

    def somebody(self, *, local: bool = False) -> Client:
        """Another client of this Locust process, drawn evenly from those who can be written to.

        They are online, on this client's own server or (unless `local`) a linked one, and with encryption use the same.
        Waits up to 60 seconds until there is one. Raises TimedOut if there is none then.
        """
        deadline = time.monotonic() + ONLINE_TIMEOUT
        while True:
            servers = {self.server} if local else self._reachable
            others = [one for one in self._bridge.online.values() if one.server in servers and self._can_write(one)]
            if others:
                return random.choice(others)  # noqa: S311 - a load is no secret
            if time.monotonic() > deadline:
                raise TimedOut(
                    f"no other user whom {self.jid} can reach is online within {ONLINE_TIMEOUT:g} s: more users?"
                )
            gevent.sleep(0.1)

    def _can_write(self, one: Client) -> bool:
        return one is not self and self.encryption in ("plain", one.encryption)

    def send(self, to: Client, text: str) -> PendingMessage:
        """Send a chat message (RFC 6121 section 5); returns once it is written to the stream.

        An error, such as a message that cannot be encrypted, is not raised: it is the outcome of the returned message.
        """
        sent = PendingMessage(self._bridge, "local" if self.server == to.server else f"{self.server}->{to.server}")
        try:
            self._bridge.call("send", self.jid, to=to.jid, body=text, message=sent.id)
        except LabError as error:
            sent.settle(error)
        except BaseException:
            self._bridge.pending.pop(sent.id, None)
            raise
        return sent

    def call(self, op: str, **fields: Any) -> Json:
        """Send any request of the agent protocol for this client, see docs/agents.md; its result as JSON data.

        Raises UserError for a request that makes no sense, PeerError if the server refuses, TimedOut without an answer.
        """
        return self._bridge.call(op, self.jid, **fields)


_shared: list[BridgeClient] = []
_count = itertools.count()


@functools.cache
def _token() -> str:
    """A part of all names of this process's users: no other process or load has it. Drawn late, since Locust forks."""
    return secrets.token_hex(3)


def make_client(environment: Environment, encryption: str) -> Client:
    """A new client, not connected yet; servers are dealt round-robin. Raises UserError if no lab is up."""
    if not _shared:
        _shared.append(BridgeClient(environment, select_lab(environment.parsed_options)))
    number = next(_count)
    first = max(0, getattr(environment.runner, "worker_index", 0))
    return Client(_shared[0], f"locust-{_token()}-{number}", first + number, encryption)


def close_clients(**_: Any) -> None:
    """The test is over: once this returns, all clients of this process have logged out."""
    while _shared:
        _shared.pop().close()
