"""One server in a test: it takes logins of its users over TLS, on loopback, and leaves nothing."""

import asyncio
import contextlib

import docker
import pytest

from lab.clients.remote import Agent
from lab.errors import NotReady
from lab.testing.containers import EjabberdContainer, ProsodyContainer

pytestmark = [pytest.mark.containers, pytest.mark.live]


@pytest.mark.parametrize("kind", [ProsodyContainer, EjabberdContainer])
async def test_users_of_one_server_write_to_each_other(kind):
    heard: asyncio.Queue[dict] = asyncio.Queue()
    with kind(domain="one.test", users=["alice", "bob"]) as server:
        identity, folder = server.get_container_id(), server.authority.parent.parent
        agent = Agent.inline(on_event=lambda event: event["event"] == "delivered" and heard.put_nowait(event))
        for user in server.users:
            await agent.call(
                "connect",
                user,
                jid=f"{user}@one.test",
                password=server.password,
                resource="pc",
                host=server.host,
                port=server.port,
                authority=server.authority.read_text(),
                encryption="plain",
                trust="blind",
                timeout=30,
            )
        await agent.call("send", "alice", to="bob@one.test", body="hello", message="m1")
        assert (await asyncio.wait_for(heard.get(), 30))["body"] == "hello"
        await agent.close()
    assert not folder.exists()
    with contextlib.closing(docker.from_env()) as client, pytest.raises(docker.errors.NotFound):
        client.containers.get(identity)


def test_ports_are_on_loopback_only():
    with ProsodyContainer() as server:
        ports = server.get_wrapped_container().attrs["NetworkSettings"]["Ports"]
        addresses = {entry["HostIp"] for bound in ports.values() for entry in bound or ()}
    assert addresses == {"127.0.0.1"}


def test_a_server_that_was_not_started_says_so():
    with pytest.raises(NotReady, match="`with` block"):
        _ = ProsodyContainer().authority
