"""The engine against a server that only routes: what is delivered, lost, doubled, refused, interrupted is told so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import uvloop

from lab.errors import PeerError, UserError
from lab.load.metrics.histogram import Histogram
from lab.load.model.spec import Shard
from lab.load.worker import closed_loop, engine
from tests.load.engine_runs import driven
from tests.load.null_server.launch import Null, null_server

QUICK = {"users": 12, "arrivals": "400/s", "seconds": 0.5, "warmup": 0.2, "login_rate": 1000.0}


@pytest.fixture(scope="module")
def null() -> Iterator[Null]:
    with null_server() as server:
        yield server


@pytest.mark.parametrize("security", ["starttls", "direct", "none"])
@pytest.mark.parametrize("resumption", [True, False])
async def test_all_that_is_sent_comes(security: str, resumption: bool) -> None:
    with null_server(security) as server:
        told = await driven(server.load("a", "b", resumption=resumption, **QUICK))
    assert told.ended["drained"]
    assert told.ended["missing"] == []
    routes = told.result.routes
    assert set(routes) == {"a->b", "b->a"}
    assert sum(tally.sent for tally in routes.values()) == 200  # 0.5 s at 400/s, to the message
    assert all(tally.received == tally.sent and not tally.lost for tally in routes.values())
    assert all(tally.duplicates == tally.out_of_order == 0 for tally in routes.values())


async def test_a_certificate_that_is_not_trusted_ends_the_load() -> None:
    with null_server("starttls") as server, null_server("starttls") as other:
        load = replace(server.load(**QUICK), authority=other.authority)
        with pytest.raises(PeerError, match="CERTIFICATE_VERIFY_FAILED"):
            await driven(load)


async def test_a_name_that_is_not_the_certificates_ends_the_load() -> None:
    with null_server("direct") as server, pytest.raises(PeerError, match="CERTIFICATE_VERIFY_FAILED"):
        await driven(server.load("z", **QUICK))


async def test_a_wrong_password_ends_the_load(null: Null) -> None:
    with pytest.raises(PeerError, match=r"load\d+@a.example cannot log in .*not-authorized"):
        await driven(replace(null.load(**QUICK), password="wrong"))


async def test_nobody_there_ends_the_load(null: Null) -> None:
    load = null.load(**QUICK)
    with pytest.raises(PeerError, match=r"cannot log in at 127\.0\.0\.1:1"):
        await driven(replace(load, endpoints=(replace(load.endpoints[0], port=1),)))


async def test_lost_messages_are_named(null: Null) -> None:
    async def swallow() -> None:
        await asyncio.sleep(0.4)
        null.obey("swallow 7")

    told = await driven(null.load(**QUICK), swallow, missing=7)
    assert not told.ended["drained"]
    assert len(told.ended["missing"]) == 7
    assert told.result.total.lost == 7
    assert told.result.total.received == told.result.total.sent - 7


async def test_duplicates_are_counted_and_not_taken_for_deliveries(null: Null) -> None:
    async def double() -> None:
        await asyncio.sleep(0.4)
        null.obey("double 5")

    told = await driven(null.load(**QUICK), double)
    total = told.result.total
    assert (total.duplicates, total.lost, total.received) == (5, 0, total.sent)


async def test_bounces_are_told_by_their_condition(null: Null) -> None:
    load = null.load("a", "b", **QUICK)
    # Of the users only those of `a` log in: whoever they write to is not there.
    endpoints = (load.endpoints[0], replace(load.endpoints[1], domain="nowhere.example"))
    only_a = replace(load, endpoints=endpoints, seconds=0.3)
    told = await driven(only_a, shard=Shard(0, 2), missing=0)
    total = told.result.total
    assert total.sent > 0
    assert total.bounced == {"item-not-found": total.sent}
    assert total.received == 0


@pytest.mark.parametrize("security", ["none", "starttls"])
async def test_dropped_connections_are_resumed_and_nothing_is_lost_or_doubled(security: str) -> None:
    with null_server(security) as server:

        async def cut() -> None:
            for _ in range(3):
                await asyncio.sleep(0.3)
                server.tell("cut")

        told = await driven(server.load("a", "b", **{**QUICK, "seconds": 1.2, "arrivals": "1000/s"}), cut)
    total = told.result.total
    assert told.ended["drained"]
    assert told.result.reconnects >= 12
    assert (total.lost, total.duplicates, total.out_of_order) == (0, 0, 0)
    assert total.received == total.sent == 1200


async def test_where_nothing_can_be_resumed_users_log_in_anew(null: Null, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "DRAIN_TIMEOUT", 0.5)

    async def forget() -> None:
        await asyncio.sleep(0.4)
        null.tell("forget")

    told = await driven(null.load(**{**QUICK, "seconds": 1.5}), forget)
    null.process.stdout.readline()
    assert told.result.reconnects >= 12
    assert told.ended["online"] == 12


async def test_a_user_who_cannot_return_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.load.client.session.RECONNECT_TIMEOUT", 0.2)
    monkeypatch.setattr(engine, "DRAIN_TIMEOUT", 0.5)
    with null_server() as server:

        async def kill() -> None:
            await asyncio.sleep(0.1)
            server.process.kill()

        told = await driven(server.load(**{**QUICK, "seconds": 1.5}), kill)
    assert {event["user"] for event in told.of("gone")} == {f"load{n}@a.example" for n in range(1, 13)}
    assert told.ended["online"] == 0
    assert told.result.total.lost > 0


async def _stalled(arrivals: str, users: int, null: Null) -> Histogram:
    """The delays of a load during which the server stands still for a second."""

    async def stall() -> None:
        await asyncio.sleep(0.8)
        null.tell("stall 1.0")

    load = null.load(users=users, arrivals=arrivals, seconds=3.0, warmup=0.2, login_rate=1000.0)
    total = (await driven(load, stall)).result.total
    assert null.process.stdout.readline().strip() == "done"
    return total.intended


async def test_no_coordinated_omission(null: Null) -> None:
    """A server that stands still for 1 of 3 s at 500 msg/s delays a third of all messages, by 0.5 s on average."""
    delays = await _stalled("500/s", 50, null)
    assert delays.percentile(95) > 0.7
    assert delays.percentile(99) > 0.9


async def test_the_closed_model_does_omit(null: Null) -> None:
    """The same pause at about the same rate: one message for each of five tokens has waited as long as it lasted."""
    delays = await _stalled("closed:think=10ms", 5, null)
    assert delays.max > 0.9 > delays.percentile(100 * (1 - 5.5 / delays.total)), "of all but five"


async def test_the_closed_model_waits_for_the_delivery(null: Null, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_loop, "ACTION_TIMEOUT", 0.1)
    monkeypatch.setattr(closed_loop, "CHECK_INTERVAL", 0.05)
    load = null.load(**{**QUICK, "arrivals": "closed:think=100ms", "seconds": 1.0, "warmup": 0.0, "users": 10})
    total = (await driven(load)).result.total
    assert 10 <= total.received <= 110  # ten users, at most ten turns a second
    null.obey("swallow 10")
    total = (await driven(load, missing=10)).result.total
    assert total.lost == 10, "of each token the first"
    assert total.received > 0, "a token that lost its message goes on"


async def test_late_looks_are_told(null: Null) -> None:
    async def busy() -> None:
        await asyncio.sleep(0.3)
        time.sleep(0.2)  # noqa: ASYNC251 - the generator itself stands still

    result = (await driven(null.load(**QUICK), busy)).result
    assert result.lag.max > 0.15
    assert result.total.intended.max > 0.15  # the delay counts from the time when it was due
    assert result.total.sent == 200


async def test_stopped_early_it_still_reports(null: Null) -> None:
    stop = asyncio.Event()

    async def interrupt() -> None:
        await asyncio.sleep(0.5)
        stop.set()

    told = await driven(null.load(**{**QUICK, "seconds": 60.0}), interrupt, stop=stop)
    assert told.ended["drained"]
    assert 0 < told.result.total.received < 60 * 400
    assert told.result.unaccounted() == {}


async def test_a_drain_that_takes_long_is_no_steady_state(null: Null, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped early, drained for 1.5 s because something is missing: the rate is that of the time before."""
    monkeypatch.setattr(engine, "DRAIN_TIMEOUT", 1.5)
    stop = asyncio.Event()

    async def interrupt() -> None:
        await asyncio.sleep(0.4)
        null.obey("swallow 3")
        await asyncio.sleep(0.8)
        stop.set()

    began = time.monotonic()
    told = await driven(null.load(**{**QUICK, "seconds": 60.0}), interrupt, stop=stop)
    whole = time.monotonic() - began
    result = told.result
    assert (told.ended["drained"], result.total.lost) == (False, 3)
    assert 0 < result.length <= whole - 0.2 - 1.5, "warm-up and drain are none of it"
    assert result.total.sent / result.length < 440
    assert result.unaccounted() == {}


async def test_stopped_before_the_steady_state_all_is_of_the_warm_up(
    null: Null, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "DRAIN_TIMEOUT", 0.3)
    stop = asyncio.Event()

    async def interrupt() -> None:
        null.obey("swallow 4")
        await asyncio.sleep(0.4)
        stop.set()

    told = await driven(null.load(**{**QUICK, "warmup": 30.0}), interrupt, stop=stop)
    result = told.result
    assert (result.length, result.routes) == (0.0, {})
    assert result.warmup["local"].lost == 4
    assert result.unaccounted() == {}


async def test_what_the_warm_up_loses_is_no_loss_of_the_steady_state(
    null: Null,
) -> None:
    async def swallow() -> None:
        null.obey("swallow 5")

    result = (await driven(null.load(**{**QUICK, "warmup": 1.0}), swallow, missing=5)).result
    assert (result.total.sent, result.total.received, result.total.lost) == (200, 200, 0)
    assert result.warmup["local"].lost == 5
    assert result.unaccounted() == {}


@pytest.mark.parametrize("arrivals", ["400/s", "closed:think=0s"])
async def test_stopped_before_the_start_nothing_is_written(null: Null, arrivals: str) -> None:
    stop = asyncio.Event()

    async def go() -> int:
        stop.set()
        return time.perf_counter_ns()

    told = await driven(null.load(**{**QUICK, "arrivals": arrivals}), stop=stop, go=go)
    assert told.ended["expected"] == 0


async def test_what_came_although_it_bounced_is_said(null: Null) -> None:
    async def late() -> None:
        await asyncio.sleep(0.4)
        null.obey("late 6")

    told = await driven(null.load(**QUICK), late)
    total = told.result.total
    assert (total.received, total.bounced, total.both) == (total.sent, {"item-not-found": 6}, 6)
    assert told.result.unaccounted() == {}


async def test_ports_are_counted_before(null: Null) -> None:
    with pytest.raises(UserError, match=r"100000 users on .*use at most \d+ users"):
        await driven(null.load(users=100_000))


async def test_a_load_that_makes_no_sense_is_refused(null: Null) -> None:
    for wrong in ({"users": 0}, {"seconds": 0.0}, {"tick": 0.0}, {"login_rate": 0.0}, {"body": -1}, {"warmup": -1.0}):
        with pytest.raises(UserError):
            await driven(null.load(**{**QUICK, **wrong}))
    with pytest.raises(UserError, match="starttls, direct, none"):
        await driven(replace(null.load(**QUICK), security="tls"))
    with pytest.raises(UserError, match="authority"):
        await driven(replace(null.load(**QUICK), security="starttls"))


def test_nothing_begins_before_its_time() -> None:
    """What was due before the start is another load's: a message of the closed model would be lost so."""

    async def early() -> int:
        found = 0
        for tenths in range(1, 40):
            moment = time.perf_counter_ns() + tenths * 100_000
            await engine.sleep_until(moment)
            found += time.perf_counter_ns() < moment
        return found

    assert uvloop.run(early()) == 0
