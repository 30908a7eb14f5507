"""Feeds that are watched: what is new, in the order of time, of whom and of what somebody asks for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from lab.errors import PeerError, UserError
from lab.lifecycle.stanza_feed import Seen, WatchFilter, find_feeds, watch
from tests.network import labs


def stanza(at: float, name: str = "message", sender: str = "alice@a.test/x", receiver: str = "bob@b.test") -> str:
    fields: dict[str, Any] = {
        "at": at, "direction": "in", "stream": "c2s", "name": name, "type": None, "id": str(at), "from": sender,
        "to": receiver, "size": 1, "encryption": None, "body": False, "stanza": None,
    }  # fmt: skip
    return json.dumps(fields) + "\n"


STREAM = json.dumps(
    {"at": 5.0, "event": "stream-opened", "stream": "c2s", "direction": "in", "peer": "bob@b.test/y", "id": "",
     "tls": "", "authentication": ""}
) + "\n"  # fmt: skip


async def first(
    count: int, feeds: dict[str, Path], wanted: WatchFilter, ends: dict[str, int] | None = None
) -> list[Seen]:
    found = []
    async with asyncio.timeout(60):
        async for event in watch(feeds, wanted, ends=ends):
            found.append(event)
            if len(found) == count:
                break
    return found


async def test_only_what_is_new_is_shown_in_the_order_of_time(tmp_path: Path) -> None:
    feeds = {"a": tmp_path / "a", "b": tmp_path / "b"}  # that of b does not exist yet
    feeds["a"].write_text(stanza(1))
    watching = asyncio.create_task(first(3, feeds, WatchFilter()))
    await asyncio.sleep(0)  # it has begun: it knows where each feed ends
    with feeds["a"].open("a") as file:
        file.write(stanza(4) + stanza(2)[:20])
    feeds["b"].write_text(stanza(3))
    with feeds["a"].open("a") as file:
        file.write(stanza(2)[20:])
    assert sorted(event.at for event in await watching) == [2, 3, 4]


async def test_nothing_is_shown_twice(tmp_path: Path) -> None:
    feeds = {"a": tmp_path / "a"}
    feeds["a"].write_text(stanza(1))
    watching = watch(feeds, WatchFilter(), ends={"a": 0})
    for at in (2, 3):
        assert (await anext(watching)).at == at - 1
        with feeds["a"].open("a") as file:
            file.write(stanza(at))
    assert (await anext(watching)).at == 3
    await watching.aclose()


async def test_it_ends_with_the_lab_and_shows_what_was_written_until_then(tmp_path: Path) -> None:
    path, up = tmp_path / "a", [True, True, False]
    path.write_text(stanza(1))
    found = []
    async for event in watch({"a": path}, WatchFilter(), ends={"a": 0}, is_up=lambda: up.pop(0)):
        found.append(event.at)
        with path.open("a") as file:
            file.write(stanza(event.at + 1))
    assert found == [1, 2, 3] and not up


async def test_a_feed_that_vanishes_is_an_error_unless_its_lab_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for up in ([True, False], [True, True]):
        path.write_text(stanza(1))
        watching = watch(
            {"a": path}, WatchFilter(), ends={"a": 0}, is_up=lambda up=up: up[0] if len(up) == 1 else up.pop(0)
        )
        assert (await anext(watching)).at == 1
        path.unlink()
        with pytest.raises(PeerError if up[-1] else StopAsyncIteration):
            await anext(watching)


async def test_two_who_watch_see_the_same(tmp_path: Path) -> None:
    feeds = {"a": tmp_path / "a"}
    feeds["a"].write_text(stanza(1) + stanza(2))
    found = await asyncio.gather(*(first(2, feeds, WatchFilter(), {"a": 0}) for _ in range(2)))
    assert [[event.at for event in one] for one in found] == [[1, 2], [1, 2]]


@pytest.mark.parametrize(
    ("wanted", "times"),
    [
        (WatchFilter(), [1, 2, 3, 4, 5]),
        (WatchFilter(servers=("b",)), [4]),
        (WatchFilter(kinds=("iq", "stream")), [2, 5]),
        (WatchFilter(people=("carol@a.test",)), [3]),
        (WatchFilter(people=("alice@a.test",)), [1, 2, 3, 4]),
        (WatchFilter(people=("bob@b.test",), kinds=("message",)), [1]),
        (WatchFilter(people=("bob@b.test",), servers=("a",), kinds=("stream",)), [5]),
    ],
)
async def test_what_is_not_asked_for_is_left_out(tmp_path: Path, wanted: WatchFilter, times: list[int]) -> None:
    feeds = {"a": tmp_path / "a", "b": tmp_path / "b"}
    feeds["a"].write_text(stanza(1) + stanza(2, "iq") + stanza(3, receiver="carol@a.test") + STREAM)
    feeds["b"].write_text(stanza(4, "presence"))
    found = await first(len(times), feeds, wanted, {"a": 0, "b": 0})
    assert [event.at for event in found] == times


def test_servers_are_named_as_in_the_topology(tmp_path: Path) -> None:
    assert list(find_feeds(tmp_path, labs.plan(), ("b",))) == ["b"]
    with pytest.raises(UserError, match="no server 'c' in this lab; there are: a, b"):
        find_feeds(tmp_path, labs.plan(), ("c",))
