"""A marker behind the messages on each route that was used, and what is known without it."""

from __future__ import annotations

from typing import Any

import pytest

from lab.federation import Federation, markers
from lab.history.events import RouteSettled
from tests.federation.conftest import FakeAgent


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markers, "MARKER_DEADLINE", 0.05)


def settled(federation: Federation) -> list[RouteSettled]:
    return [one for one in federation.history.events if isinstance(one, RouteSettled)]


def delivers(federation: Federation, agent: FakeAgent, *, markers_only: bool = True) -> None:
    """Let each message be received at once by whom it is addressed to."""

    def deliver(device: str | None, *, to: str, body: str, message: str, marker: bool = False, **_: Any) -> None:
        for one in federation.participants.devices.values():
            if to == one.jid and (marker or not markers_only):
                agent.tell(
                    "delivered", one.key, message=message, via="live", body=body, stream="s", **{"from": str(device)}
                )

    agent.answers["send"] = deliver


async def test_one_marker_for_each_route_that_promises_a_delivery(federation: Federation, agent: FakeAgent) -> None:
    delivers(federation, agent)
    alice, bob, carol = [await federation.server(name).person() for name in ("island", "home", "public")]
    for to in (bob, bob, carol):  # there is no link to carol
        await alice.send(to, "hello")
    await bob.send(carol, "hello")
    await federation.settle()
    routes = {(one.sender, one.receiver): one.arrived for one in settled(federation)}
    assert routes == {(alice.device.jid, bob.device.jid): True, (bob.device.jid, carol.device.jid): True}
    sent = [one for one in agent.of("send") if one["marker"]]
    assert {one["body"] for one in sent} == {federation.context.control}, "the text that a search must find"


async def test_a_marker_that_does_not_arrive_is_recorded(federation: Federation) -> None:
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    await alice.send(bob, "hello")
    await federation.settle()
    (one,) = settled(federation)
    assert (one.arrived, one.broken) == (False, False)
    assert "not settled before the deadline" in one.detail


async def test_a_stream_that_broke_in_between_is_recorded(federation: Federation, agent: FakeAgent) -> None:
    delivers(federation, agent)
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    agent.tell("disconnected", bob.device.key, stream="s")  # before anything was sent
    await bob.connect()
    await alice.send(bob, "hello")
    agent.tell("disconnected", alice.device.key, stream="s")
    await alice.connect()
    await federation.settle()
    (one,) = settled(federation)
    assert (one.arrived, one.broken) == (True, True)


async def test_no_marker_is_waited_for_where_one_has_blocked_the_other(
    federation: Federation, agent: FakeAgent
) -> None:
    agent.answers["iq"] = lambda device, **_: {"xml": "<iq type='result'/>"}
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    await alice.send(bob, "hello")
    await bob.block(alice)
    await bob.send(alice, "not even this")
    await federation.settle()
    (one,) = settled(federation)
    assert (one.sender, one.arrived) == (alice.device.jid, False)
    assert one.detail == "blocked at the end: no marker can arrive"
    assert len(agent.of("send")) == 2, "no marker"


async def test_who_is_not_connected_at_the_end_is_named(federation: Federation, agent: FakeAgent) -> None:
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    await alice.send(bob, "hello")
    await bob.disconnect()
    await federation.settle()
    (one,) = settled(federation)
    assert one.detail == f"not connected at the end: {bob.device.jid}"
    assert len(agent.of("send")) == 1, "no marker"
