"""What people do beside writing: logins, presences, rosters, archives; what counts as done, and what is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from lab.load.kinds import build_draw
from lab.load.model.spec import Load
from lab.load.worker import engine
from lab.load.workload.recipients import Recipients
from tests.load.engine_runs import Told, driven, until
from tests.load.null_server.launch import Null, null_server
from tests.load.samples import Act

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
    assert (result.total.sent, result.total.bounced, result.total.lost) == (50, {}, 0)
    assert result.unaccounted() == {}


@pytest.mark.parametrize("resumption", [True, False])
@pytest.mark.parametrize("traffic", ["4*neighbours+1*logins:written=1", "2*social+2*local+1*logins:written=1"])
async def test_who_comes_back_gets_what_was_written_meanwhile(null: Null, traffic: str, resumption: bool) -> None:
    """40 to 100 logins a second among 24 people who are written to all the time: nothing is lost or comes twice."""
    told = await _carried(null, traffic=traffic, arrivals="400/s", resumption=resumption)
    result, total = told.result, told.result.total
    assert told.ended["drained"], told.ended
    assert (total.lost, total.bounced, total.duplicates) == (0, {}, 0)
    assert result.routes["login"].received > 0
    assert result.unaccounted() == {}
    assert result.reconnects == 0, "who logs out and in has lost no connection"


@pytest.mark.parametrize("traffic", ["4*neighbours+1*logins:written=1", "4*archive+1*logins"])
async def test_who_logs_out_waits_for_answers_and_until_the_server_has_ended_the_session(traffic: str) -> None:
    with null_server() as null:
        null.obey("linger")
        told = await _carried(null, traffic=traffic, arrivals="400/s")
    assert told.ended["drained"], str(told.ended["missing"])
    total = told.result.total
    assert (total.lost, total.bounced, total.duplicates) == (0, {}, 0)
    assert told.result.routes["login"].received > 0


async def test_what_a_server_put_away_during_a_login_comes_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "RELOGIN_DELAY", 0.3)
    stop = asyncio.Event()
    with null_server() as null:
        more = {"traffic": "4*neighbours+1*logins:written=1", "arrivals": "400/s", "seconds": 120.0}

        async def keep() -> None:
            await until(lambda: null.obey("logins") != "logins 1")  # everybody has been away, and is to go once more
            null.obey("keep 5")
            await until(lambda: null.obey("kept") == "kept 0")
            stop.set()  # few of them have come back by themselves since

        told = await driven(null.load("a", "b", **{**QUICK, **more}), keep, stop=stop)
    assert told.ended["drained"], str(told.ended)
    assert told.result.total.lost == 0
    assert told.result.unaccounted() == {}


async def test_a_server_that_keeps_nothing_for_who_is_away_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "DRAIN_TIMEOUT", 1.0)
    with null_server() as null:
        null.obey("away")
        told = await _carried(null, traffic="4*neighbours+4*logins:written=1", arrivals="800/s", seconds=1.5)
    assert told.result.total.lost > 0
    assert {*told.result.routes} >= {"a->b", "login"}
    assert told.result.unaccounted() == {}


async def test_presences_that_do_not_reach_all_contacts_are_lost(null: Null, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "DRAIN_TIMEOUT", 0.5)
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


@pytest.mark.parametrize("traffic", ["realistic", "6*social+2*presence:degree=4+2*logins+1*roster+1*archive"])
async def test_who_goes_and_comes_is_left_alone_and_nothing_is_lost(null: Null, traffic: str) -> None:
    null.obey("away")  # nothing is kept for anybody: it need not be
    told = await _carried(null, traffic=traffic, arrivals="400/s")
    total = told.result.total
    assert told.ended["drained"], str(told.ended["missing"])
    assert (total.lost, total.bounced, total.duplicates) == (0, {}, 0)
    assert told.result.routes["login"].received > 0
    assert told.result.unaccounted() == {}


async def test_what_a_server_drops_is_lost_all_the_same(null: Null) -> None:
    load = null.load("a", "b", **{**QUICK, "traffic": "realistic", "arrivals": "400/s"})
    null.rosters(load)

    async def swallow() -> None:
        await asyncio.sleep(0.5)
        null.obey("swallow 5")

    told = await driven(load, swallow, missing=5)
    assert told.result.total.lost == 5
    assert told.result.unaccounted() == {}


async def test_an_archive_with_nothing_in_it_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.load.worker.ramp_up.ARCHIVED_MESSAGES", 0)
    with null_server() as null:
        tally = (await _carried(null, traffic="archive", arrivals="50/s")).result.routes["archive"]
    assert (tally.received, tally.bounced["nothing-found"]) == (0, tally.sent)


@pytest.mark.parametrize("rest", ["room:size=5", "presence:degree=4", "social", "local", "neighbours"])
def test_who_goes_and_comes_is_left_alone(null: Null, rest: str) -> None:
    load = null.load("a", "b", users=40, traffic=f"1*logins+1*{rest}")
    recipients = Recipients(load)
    assert len(recipients.intermittent) == 10
    assert not recipients.intermittent & {user for room in recipients.rooms for user in room.members}
    assert not any(recipients.intermittent & told for told in recipients.subscribers)
    draw = _draw(load)
    acts = [Act(*draw()) for _ in range(2000)]
    assert {act.sender for act in acts if act.kind == "login"} == recipients.intermittent
    others = [act for act in acts if act.kind != "login"]
    assert {act.sender for act in others} == {*range(40)} - recipients.intermittent
    assert not recipients.intermittent & {act.receiver for act in others if act.kind == "message"}


@pytest.mark.parametrize("traffic", ["1*logins+1*neighbours", "1*logins+1*roster", "logins"])
def test_where_nothing_is_missed_or_it_is_asked_for_everybody_goes_and_comes(null: Null, traffic: str) -> None:
    load = null.load("a", "b", users=40, traffic=traffic.replace("logins+1*n", "logins:written=1+1*n"))
    assert Recipients(load).intermittent == frozenset()
    draw = _draw(load)
    assert len({act.sender for act in (Act(*draw()) for _ in range(2000)) if act.kind == "login"}) == 40


def _draw(load: Load):
    from lab.load.model.spec import Shard
    from lab.load.workload.traffic import parse_traffic

    return build_draw(parse_traffic(load.traffic), load, Shard(), load.seed)
