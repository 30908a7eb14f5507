"""Deadlines of people, rooms, markers and scripted peers grow with the latency of their links."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.declarations.links import Conditions
from lab.federation import Federation, markers
from lab.federation.peers import Peer
from lab.federation.stanza_log import StanzaLog
from lab.runner.run import SETTLE_DEADLINE, settle_deadline
from lab.topology.allowance import largest_allowance, route_allowance
from tests.federation.conftest import FakeAgent

LATENCY = 20.0  # seconds each way
LEAST = 16 * 2 * LATENCY  # the round trips of two streams and a ping


@pytest.fixture
async def slow(federation: Federation) -> Federation:
    """home - public is slow, island - home is not."""
    topology = federation.lab.plan.topology
    conditions = Conditions(latency=LATENCY)
    links = tuple(
        replace(link, forward=conditions, backward=conditions) if "public" in link.pair else link
        for link in topology.links
    )
    federation.lab.plan = replace(federation.lab.plan, topology=replace(topology, links=links))
    return federation


async def test_each_route_has_its_own(slow: Federation) -> None:
    topology = slow.lab.plan.topology
    assert route_allowance(topology, "home", "public") == route_allowance(topology, "public", "home") >= LEAST
    assert route_allowance(topology, "island", "home") == route_allowance(topology, "public", "public") == 0.0
    assert route_allowance(topology, "island", "public") == 0.0, "there is no link"
    assert (largest_allowance(topology, "island"), largest_allowance(topology, "home") >= LEAST) == (0.0, True)
    assert settle_deadline(topology) >= SETTLE_DEADLINE + LEAST


async def test_outcomes_wait_for_a_slow_link_and_for_no_other(
    slow: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, carol = [await slow.server(name).person() for name in ("island", "home", "public")]
    room = await slow.server("home").room("hall", occupants=[])
    waited: list[float] = []

    async def until(self: object, holds: object, deadline: float) -> None:
        waited.append(deadline)

    monkeypatch.setattr("lab.federation.messages.Message._until", until)
    for message in (await alice.send(bob, "x"), await bob.send(carol, "x"), await alice.send(room, "x")):
        await message.outcome()
        await message.read_by(carol.device)
        await message.outcome(within=1.0)
    near, far, said = waited[0:3], waited[3:6], waited[6:9]
    assert near == [30.0, 30.0, 1.0]
    assert (far[:2] >= [30.0 + LEAST] * 2, far[2]) == (True, 1.0)
    assert said[0] >= 30.0 + LEAST, "from the room on it goes over the slow link"


async def test_a_marker_is_waited_for_as_long(
    slow: Federation, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob, carol = await slow.server("home").person(), await slow.server("public").person()
    await bob.send(carol, "x")
    waited: list[float] = []

    async def outcome(self: object, within: float) -> object:
        waited.append(within)
        raise RuntimeError

    monkeypatch.setattr("lab.federation.messages.Message.outcome", outcome)
    with pytest.raises(RuntimeError):
        await slow.settle()
    assert waited[0] >= markers.MARKER_DEADLINE + LEAST
    (sent,) = (one for one in agent.of("send") if one["marker"])
    assert sent["timeout"] >= 60.0 + LEAST


async def test_awaited_stanzas_pings_and_requests_as_well(
    slow: Federation, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    async def received(self: object, match: object, within: float, *, taken: object = None) -> None:
        waited.append(within)

    monkeypatch.setattr(StanzaLog, "received", received)
    alice, bob, carol = [await slow.server(name).person() for name in ("island", "home", "public")]
    await alice.device.received("x")
    await bob.device.received("x")
    assert waited[0] == 30.0 and waited[1] >= 30.0 + LEAST
    peer = Peer(slow.participants, slow.server("public"))
    peer._agent = agent  # type: ignore[assignment]
    await peer.received("x")
    await peer.expect("x")
    await peer.ping(slow.server("home"))
    assert min(waited[2:]) >= 20.0 + LEAST
    assert agent.of("peer_send")[0]["timeout"] >= 30.0 + LEAST
    agent.answers["devices"] = lambda device, **_: {"ids": []}
    agent.answers["fingerprints"] = lambda device, **_: {"devices": []}
    await bob.device.published_devices(carol)
    await bob.fingerprints(carol)
    assert agent.of("devices")[0]["timeout"] >= LEAST and agent.of("fingerprints")[0]["timeout"] >= LEAST
    room = slow.server("public").room
    agent.answers["occupants"] = lambda device, *, room, **_: {"occupants": [f"{room}/{bob.name}.home"]}
    await room("hall", occupants=[bob])
    assert agent.of("join")[0]["timeout"] >= 30.0 + LEAST
