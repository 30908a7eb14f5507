"""People with tasks of their own, without servers. Runs inside, see test_inside.py."""

from __future__ import annotations

import os

import pytest
from gevent import GreenletExit, monkey
from locust.env import Environment

from lab.errors import PeerError
from lab.locust import client
from lab.locust.client import Client, PendingMessage


class Agent:
    """In place of the bridge: answers as it is told, and knows what is on its way."""

    def __init__(self, answer: BaseException | None = None) -> None:
        self.environment = Environment()
        self.environment.create_local_runner()
        self.pending: dict[str, PendingMessage] = {}
        self.online: dict[str, Client] = {}
        self.answer = answer

    def call(self, op: str, device: str | None = None, **fields: object) -> dict[str, object]:
        if self.answer is not None:
            raise self.answer
        return {}


def two(agent: Agent) -> tuple[Client, Client]:
    made = Client(agent, "one", 0, "plain"), Client(agent, "two", 1, "plain")  # type: ignore[arg-type]
    for one, server in zip(made, "ab", strict=True):
        one.jid, one.server = f"{one._user}@{server}.test", server
    return made


def test_what_cannot_be_sent_is_a_failure_that_is_counted_once() -> None:
    agent = Agent(PeerError("it is not connected"))
    one, other = two(agent)
    assert one.send(other, "hello").outcome() is False
    route = agent.environment.stats.get("a->b", "message")
    assert (route.num_requests, route.num_failures) == (1, 1)
    assert [str(one.error) for one in agent.environment.stats.errors.values()] == ["it is not connected"]
    assert not agent.pending


def test_whoever_is_ended_while_sending_leaves_nothing_under_way() -> None:
    agent = Agent(GreenletExit())
    one, other = two(agent)
    with pytest.raises(GreenletExit):
        one.send(other, "hello")
    assert not agent.pending and not agent.environment.stats.errors


def test_processes_that_locust_forks_have_people_of_their_own() -> None:
    fork, wait = (monkey.get_original("os", name) for name in ("fork", "waitpid"))  # gevent's would need its loop
    reading, writing = os.pipe()
    if not (pid := fork()):
        os.write(writing, client._token().encode())
        os._exit(0)
    os.close(writing)
    wait(pid, 0)
    theirs = os.read(reading, 100).decode()
    os.close(reading)
    assert theirs and theirs != client._token()
