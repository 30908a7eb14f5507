"""The engine on real servers, Prosody and ejabberd linked: messages, rooms, requests, lost connections."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lab.declarations.manifest import PORTS
from lab.lifecycle import runtimes
from lab.lifecycle import up as labs
from lab.lifecycle.lab import Lab
from lab.load.coordinator.provisioning import find_endpoints, make_accounts, make_rosters
from lab.load.model.spec import Load, Shard
from lab.load.worker.engine import LoadEngine
from lab.topology.spec import Link, Topology
from tests.checks.sabotage import Tampered, load_module
from tests.load.engine_runs import Told, driven
from tests.runtime.helpers import pair

pytestmark = pytest.mark.live

USERS = 16


@pytest.fixture(scope="module")
async def load(lab: Lab) -> Load:
    """A load on its servers that tests change."""
    found = Load(
        find_endpoints(lab.plan), USERS, lab.password, lab.authority,
        arrivals="100/s", seconds=2.0, warmup=0.5, login_rate=100.0,
    )  # fmt: skip
    await make_accounts(lab, found)
    return found


@pytest.mark.parametrize("resumption", [True, pytest.param(False, marks=pytest.mark.slow)])
async def test_all_that_crosses_the_link_comes(load: Load, resumption: bool) -> None:
    told = await driven(replace(load, resumption=resumption, traffic="neighbours+local"))
    assert told.ended["drained"], told.ended
    assert set(told.result.routes) == {"a->b", "b->a", "local"}
    total = told.result.total
    assert (total.sent, total.received, total.lost) == (200, 200, 0)
    assert total.duplicates == total.out_of_order == total.bounced.total() == 0
    assert total.intended.percentile(50) > 0


async def test_direct_tls_carries_as_much_as_starttls(load: Load, lab: Lab) -> None:
    direct = replace(load, security="direct", endpoints=find_endpoints(lab.plan, "direct"), traffic="neighbours")
    assert {one.port for one in direct.endpoints} == {PORTS.client_tls}
    total = (await driven(direct)).result.total
    assert (total.sent, total.received, total.lost) == (200, 200, 0)


async def test_rooms_reach_everybody_in_them(load: Load) -> None:
    told = await driven(replace(load, traffic="room:size=4", arrivals="20/s"))
    assert told.ended["drained"], told.ended
    room = told.result.routes["room"]
    assert (room.sent, room.lost, room.duplicates, room.out_of_order) == (40, 0, 0, 0)
    assert 2 * room.sent <= room.received <= 4 * room.sent


@pytest.mark.parametrize(
    ("traffic", "routes"),
    [
        ("presence:degree=4", {"presence", "presence local", "presence a->b", "presence b->a"}),
        ("roster", {"roster", "roster-set"}),
        ("archive", {"archive"}),
        ("logins", {"login"}),
        ("upload:size=20KB", {"upload"}),
    ],
)
async def test_requests_are_answered(load: Load, lab: Lab, traffic: str, routes: set[str]) -> None:
    asked = replace(load, traffic=traffic, arrivals="40/s", seconds=1.0)
    await make_rosters(lab, asked)
    told = await driven(asked)
    assert told.ended["drained"], told.ended
    result = told.result
    assert {*result.routes} == routes
    assert (result.total.sent, result.total.bounced, result.total.lost) == (40, {}, 0)
    assert result.unaccounted() == {}


@pytest.mark.parametrize(
    ("traffic", "resumption"),
    [
        ("realistic", True),
        pytest.param("2*social+1*room:size=4+1*presence:degree=4+1*logins", False, marks=pytest.mark.slow),
    ],
)
async def test_people_come_and_go_and_nothing_is_lost(load: Load, lab: Lab, traffic: str, resumption: bool) -> None:
    asked = replace(load, traffic=traffic, arrivals="poisson:60/s", seconds=4.0, resumption=resumption)
    await make_rosters(lab, asked)
    told = await driven(asked)
    total = told.result.total
    assert told.ended["drained"], str(told.ended["missing"])
    assert (total.lost, total.bounced, total.duplicates) == (0, {}, 0), told.ended["missing"]
    assert told.result.routes["login"].received > 10
    assert told.result.unaccounted() == {}


async def test_broken_connections_are_resumed_and_nothing_is_lost(load: Load) -> None:
    """Every user's connection breaks, and again once it is resumed, while messages are under way."""
    told = Told()
    engine = LoadEngine(replace(load, arrivals="200/s"), Shard(), told, asyncio.Event(), None)
    running = asyncio.create_task(engine.run(None))
    await told.started.wait()
    broken = 0
    for session in (*engine.sessions.values(), *engine.sessions.values()):
        await asyncio.sleep(0.05)
        broken += session.online  # else its first connection is still being resumed
        if session._connection is not None:
            session._connection.abort("broken by the test")
    await running
    total = told.result.total
    assert told.ended["drained"], told.ended
    assert USERS <= told.result.reconnects <= broken
    assert (total.sent, total.received, total.lost) == (400, 400, 0)
    # An ejabberd that is behind takes what its users had written twice when they resume: see docs/servers.md.
    assert told.result.routes["a->b"].duplicates == 0
    assert told.result.routes["b->a"].duplicates <= 20


async def test_a_server_that_drops_one_message_is_found_out() -> None:
    """People go and come, and nothing of theirs is lost: what a server swallows still shows."""
    topology: Topology = replace(pair("prosody", "prosody"), links=(Link("a", "b", direct=True),))
    lab = await labs.up(topology, runtime=Tampered(runtimes.choose("processes"), load_module("drop")), owned=True)
    try:
        asked = Load(
            find_endpoints(lab.plan), USERS, lab.password, lab.authority,
            traffic="realistic", arrivals="80/s", seconds=2.0, warmup=0.0, login_rate=100.0,
        )  # fmt: skip
        await make_accounts(lab, asked)
        await make_rosters(lab, asked)
        told = await driven(asked, missing=1)
    finally:
        await lab.down()
    assert (told.result.total.lost, told.result.routes["a->b"].lost) == (1, 1)
    assert told.result.unaccounted() == {}
