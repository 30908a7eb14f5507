"""The engine on real servers, Prosody and ejabberd linked: messages, rooms, requests, lost connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from lab.load.engine import Engine
from lab.load.spec import Endpoint, Load, Share
from lab.plan.layout import C2S_PORT
from lab.runtime import lab as labs
from lab.topology.spec import Link, Topology
from tests.load.driving import Told, driven
from tests.runtime.helpers import pair

pytestmark = pytest.mark.live

USERS = 8


@pytest.fixture(scope="module")
async def load() -> AsyncIterator[Load]:
    """Two servers with a direct link, and a load on them that tests change."""
    topology: Topology = replace(pair("prosody", "ejabberd"), links=(Link("a", "b", direct=True),))
    lab = await labs.up(topology, runtime="processes", owned=True)
    try:
        for server in ("a", "b"):
            await lab.accounts(server, [f"load{number + 1}" for number in range(USERS // 2)])
        endpoints = tuple(
            Endpoint(
                plan.spec.name, plan.spec.domain, plan.address, C2S_PORT, ("b",) if plan.spec.name == "a" else ("a",)
            )
            for plan in lab.plan.servers
        )
        yield Load(
            endpoints, USERS, lab.password, lab.authority, arrivals="100/s", seconds=2.0, warmup=0.5, login_rate=100.0
        )
    finally:
        await lab.down()


@pytest.mark.parametrize("resumption", [True, False])
async def test_all_that_crosses_the_link_comes(load: Load, resumption: bool) -> None:
    told = await driven(replace(load, resumption=resumption, traffic="neighbours+local"))
    assert told.ended["drained"], told.ended
    assert set(told.result.routes) == {"a->b", "b->a", "local"}
    total = told.result.total
    assert (total.sent, total.received, total.lost) == (200, 200, 0)
    assert total.duplicates == total.out_of_order == total.bounced.total() == 0
    assert 0 < total.intended.percentile(50) < 1


async def test_rooms_reach_everybody_in_them(load: Load) -> None:
    told = await driven(replace(load, traffic="room:size=4", arrivals="20/s"))
    assert told.ended["drained"], told.ended
    room = told.result.routes["room"]
    assert (room.sent, room.lost, room.duplicates, room.out_of_order) == (40, 0, 0, 0)
    assert 2 * room.sent <= room.received <= 4 * room.sent


@pytest.mark.parametrize("traffic", ["presence:degree=2", "roster", "archive", "logins", "upload:size=20KB"])
async def test_requests_are_answered(load: Load, traffic: str) -> None:
    told = await driven(replace(load, traffic=traffic, arrivals="10/s", seconds=1.0))
    assert told.ended["drained"], told.ended
    (tally,) = told.result.routes.values()
    assert tally.sent == 10
    assert tally.received + tally.bounced["not-online"] == 10, tally.bounced
    assert tally.received >= 5


async def test_broken_connections_are_resumed_and_nothing_is_lost(load: Load) -> None:
    """Every user's connection breaks twice, one after the other, while messages are on their way."""
    told = Told()
    engine = Engine(replace(load, arrivals="200/s"), Share(), told, asyncio.Event(), None)
    running = asyncio.create_task(engine.run(None))
    await told.started.wait()
    for session in (*engine.sessions.values(), *engine.sessions.values()):
        await asyncio.sleep(0.1)
        session.drop()
    await running
    total = told.result.total
    assert told.ended["drained"], told.ended
    assert told.result.reconnects == 2 * USERS
    assert (total.sent, total.received, total.lost) == (400, 400, 0)
    # ejabberd 24.12 now and then delivers one stanza, written once, twice to a user who resumed.
    assert told.result.routes["b->a"].duplicates == 0
    assert told.result.routes["a->b"].duplicates <= 4
