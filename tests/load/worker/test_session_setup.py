"""How people of an encrypted load get to know each other, without servers: what is said goes from hand to hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from typing import Any

import pytest

from lab.errors import PeerError, UserError
from lab.load.worker import session_setup
from lab.load.worker.session_setup import SessionSetup, find_pairs
from tests.load.samples import LOAD


class FakeClient:
    """Says what it is told to; `heard` is told who said what, and in which way."""

    def __init__(self, number: int, post: Callable[[int, int, str, bool], None]) -> None:
        self.number, self.jid, self._post = number, f"p{number}", post
        self.ready = asyncio.Event()
        self.ready.set()

    async def send(self, to: str, text: str, identity: str, *, encryption: str | None = None) -> None:
        self._post(self.number, int(to[1:]), identity, encryption is None)


class World:
    """People, each with the worker of their number modulo `workers`; what one cannot read is in `unreadable`."""

    def __init__(self, people: int, workers: int) -> None:
        self.said: list[tuple[int, int, str, bool]] = []
        self.unreadable: set[str] = set()
        self.lost = 0  # so many of what is said first never come
        self.held = False
        self.people = [FakeClient(number, self._post) for number in range(people)]
        self.workers = [
            SessionSetup({one.number: one for one in self.people[index::workers]}, lambda n: f"p{n}", self._spawn)  # type: ignore[misc]
            for index in range(workers)
        ]
        self._tasks: set[asyncio.Task[None]] = set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _post(self, one: int, other: int, identity: str, encrypted: bool) -> None:
        kind = identity.partition(".")[0]
        self.said.append((one, other, kind, encrypted))
        if len(self.said) > self.lost:
            asyncio.get_running_loop().call_soon(self.deliver, other, identity, encrypted)

    def deliver(self, to: int, identity: str, encrypted: bool) -> None:
        worker, person = self.workers[to % len(self.workers)], self.people[to]
        if encrypted and identity.partition(".")[0] in self.unreadable:
            assert worker.on_failure(identity, "No pre key with id 7 known")
        else:
            assert worker.on_message(person, identity, encrypted=encrypted)  # type: ignore[arg-type]

    async def meet(self, *wanted: tuple[int, int]) -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(*(one for worker in self.workers for one in worker.setups(wanted)))


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    yield World(6, request.param)


async def test_each_pair_is_begun_once_and_reads_both_ways(world: World) -> None:
    await world.meet((0, 1), (1, 2))
    for one, other in ((0, 1), (1, 2)):
        between = [(a, kind, encrypted) for a, b, kind, encrypted in world.said if {a, b} == {one, other}]
        expected = [(one, "request", False), (other, "ready", False), (one, "first", True), (other, "reply", True)]
        assert between == expected


async def test_nobody_takes_two_bundles_of_one_person_at_a_time(world: World) -> None:
    await world.meet(*((one, 5) for one in range(5)))
    towards = [kind for a, b, kind, _ in world.said if 5 in (a, b) and kind in ("ready", "first")]
    assert towards == ["ready", "first"] * 5


async def test_who_is_not_ready_is_waited_for(world: World) -> None:
    late = world.people[1]
    late.ready.clear()
    meeting = asyncio.ensure_future(world.meet((0, 1)))
    await asyncio.sleep(0.05)
    assert [kind for *_, kind, _ in world.said] == ["request"]
    late.ready.set()
    await meeting


async def test_a_first_message_that_cannot_be_read_is_told_at_once(world: World) -> None:
    world.unreadable.add("first")
    with pytest.raises(PeerError, match=r"cannot decrypt each other|No pre key with id 7"):
        await world.meet((0, 1))
    world.unreadable.clear()
    await world.meet((0, 1))


async def test_the_question_of_a_load_that_was_killed_holds_nobody_up(world: World) -> None:
    world.deliver(1, "request.0123456789ab.0.1", False)
    await world.meet((2, 1))


async def test_a_question_that_is_lost_is_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_setup, "REPEAT_DELAY", 0.01)
    world.lost = 2
    await world.meet((0, 1))
    assert [kind for *_, kind, _ in world.said] == ["request", "request", "request", "ready", "first", "reply"]


async def test_who_is_asked_again_answers_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_setup, "REPEAT_DELAY", 0.01)
    late = world.people[1]
    late.ready.clear()
    meeting = asyncio.ensure_future(world.meet((0, 1)))
    while len(world.said) < 3:  # noqa: ASYNC110 - a test waits for what its world was told
        await asyncio.sleep(0.01)
    late.ready.set()
    await meeting
    assert [kind for *_, kind, _ in world.said if kind != "request"] == ["ready", "first", "reply"]


async def test_nobody_answers_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_setup, "ONLINE_TIMEOUT", 0.05)
    world.people[1].ready.clear()
    with pytest.raises(PeerError, match=r"p1 is not online for p0 after 0.05 s"):
        await world.meet((0, 1))


@pytest.mark.parametrize("identity", ["m1", "", "request.x.1", "request.x.y.z", "requests.x.1.2", "0" * 58])
async def test_other_messages_are_none_of_its_business(world: World, identity: str) -> None:
    worker, person = world.workers[0], world.people[0]
    assert not worker.on_message(person, identity, encrypted=False)  # type: ignore[arg-type]
    assert not worker.on_failure(identity, "")


def test_every_worker_finds_the_pairs_of_all() -> None:
    load = replace(
        LOAD, endpoints=tuple(replace(one, neighbours=("ab".replace(one.server, ""),)) for one in LOAD.endpoints)
    )
    found = find_pairs(load, 2)
    assert found == find_pairs(load, 2)
    assert all(one < other and (other - one) % 2 for one, other in found)  # of linked servers
    assert len(set(found)) == len(found) > 10


def test_more_pairs_than_can_be_made_are_refused() -> None:
    load = replace(
        LOAD,
        users=4000,
        arrivals="2000/s",
        endpoints=(LOAD.endpoints[0], replace(LOAD.endpoints[1], neighbours=("a",))),
    )
    with pytest.raises(UserError, match=r"at most 1000 sessions for each worker .* take \d+ workers"):
        find_pairs(load, 2)
