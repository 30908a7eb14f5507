"""What people do beside writing: logins, presences, rosters, archives; what counts as done, and what is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from lab.load import engine
from lab.load.audience import Audience
from lab.load.spec import Load
from tests.load.driving import Told, driven
from tests.load.null import Null, null_server

QUICK = {"users": 24, "arrivals": "200/s", "seconds": 1.0, "warmup": 0.3, "login_rate": 1000.0}


@pytest.fixture(scope="module")
def null() -> Iterator[Null]:
    with null_server() as server:
        yield server


async def _carried(null: Null, **more: object) -> Told:
    load = null.load("a", "b", **{**QUICK, **more})
    null.rosters(load)
    return await driven(load)


@pytest.mark.parametrize(
    ("traffic", "routes"),
    [
        ("presence:degree=4", {"presence", "presence local", "presence a->b", "presence b->a"}),
        ("roster", {"roster", "roster-set"}),
        ("archive", {"archive"}),
        ("logins", {"login"}),
    ],
)
@pytest.mark.parametrize("resumption", [True, False])
async def test_requests_are_timed_until_their_answer(
    null: Null, traffic: str, routes: set[str], resumption: bool
) -> None:
    told = await _carried(null, traffic=traffic, arrivals="50/s", resumption=resumption)
    result = told.result
    assert told.ended["drained"]
    assert {*result.routes} == routes
    assert (result.acts, result.total.bounced, result.total.lost) == (50, {}, 0)
    assert result.unaccounted() == {}


@pytest.mark.parametrize("resumption", [True, False])
@pytest.mark.parametrize("traffic", ["4*neighbours+1*logins", "realistic"])
async def test_who_comes_back_gets_what_was_written_meanwhile(null: Null, traffic: str, resumption: bool) -> None:
    """40 to 100 logins a second among 24 people who are written to all the time: nothing is lost or comes twice."""
    told = await _carried(null, traffic=traffic, arrivals="400/s", resumption=resumption)
    result, total = told.result, told.result.total
    assert told.ended["drained"], told.ended
    assert (total.lost, total.bounced, total.duplicates) == (0, {}, 0)
    assert result.routes["login"].received > 20
    assert result.unaccounted() == {}
    assert result.reconnects == 0, "who logs out and in has lost no connection"


async def test_a_server_that_keeps_nothing_for_who_is_away_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "DRAIN", 1.0)
    with null_server() as null:
        null.obey("away")
        told = await _carried(null, traffic="4*neighbours+4*logins", arrivals="800/s", seconds=1.5)
    assert told.result.total.lost > 0
    assert {*told.result.routes} >= {"a->b", "login"}
    assert told.result.unaccounted() == {}


async def test_presences_that_do_not_reach_all_contacts_are_lost(null: Null, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "DRAIN", 0.5)
    load = null.load("a", "b", **{**QUICK, "traffic": "presence:degree=4", "arrivals": "100/s"})
    null.rosters(load)

    async def ignore() -> None:
        await asyncio.sleep(0.5)
        null.obey("ignore 7")

    told = await driven(load, ignore)
    fans = {route: tally for route, tally in told.result.routes.items() if route.startswith("presence ")}
    assert told.result.routes["presence"].received == 100, "their own server showed all of them"
    assert 7 <= sum(tally.lost for tally in fans.values()) < 100
    assert all(missing["presence"] for missing in told.ended["missing"])
    assert told.result.unaccounted() == {}


async def test_an_answer_with_nothing_in_it_is_no_success(null: Null) -> None:
    null.obey("rosters {}")
    load = null.load("a", "b", **{**QUICK, "traffic": "roster", "arrivals": "50/s"})
    tally = (await driven(load)).result.routes["roster"]
    assert (tally.received, tally.bounced["wrong-roster"]) == (0, tally.sent)


def test_who_goes_and_comes_is_in_no_room_and_hears_no_presence(null: Null) -> None:
    load = null.load("a", "b", users=40, traffic="1*logins+1*room:size=5+1*presence:degree=4")
    audience = Audience(load)
    assert len(audience.goers) == 10
    assert not audience.goers & {user for room in audience.rooms for user in room.members}
    assert not any(audience.goers & told for told in audience.told)
    assert any(audience.goers & {*others} for others in audience.contacts), "they have contacts as everybody has"
    picker = _picker(load)
    acts = [picker.next() for _ in range(2000)]
    assert {act.sender for act in acts if act.kind == "login"} == audience.goers
    assert {act.sender for act in acts if act.kind != "login"} == {*range(40)} - audience.goers


def test_where_nothing_is_missed_everybody_goes_and_comes(null: Null) -> None:
    load = null.load("a", "b", users=40, traffic="1*logins+1*neighbours")
    assert Audience(load).goers == frozenset()
    picker = _picker(load)
    assert len({act.sender for act in (picker.next() for _ in range(2000)) if act.kind == "login"}) == 40


def _picker(load: Load):
    from lab.load.spec import Share
    from lab.load.traffic import parse

    return parse(load.traffic).picker(load, Share(), load.seed)
