"""Feeds: half a line waits, garbage is an error with its place, nothing is read twice or skipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import PeerError
from lab.history.events import ServerLogged, ServerSaw, ServerStreamClosed, ServerStreamOpened
from lab.network import feeds


def line(**changes: Any) -> bytes:
    entry = {
        "at": 1700000000.5, "direction": "in", "stream": "s2s", "name": "message", "type": "chat", "id": "m1",
        "from": "a@x.test/r", "to": "b@y.test", "size": 210, "encryption": None, "body": True, "stanza": "<message/>",
    }  # fmt: skip
    return json.dumps({**entry, **changes}).encode() + b"\n"


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    return tmp_path / "feed.jsonl"


def test_a_line_becomes_an_event(feed: Path) -> None:
    feed.write_bytes(line())
    (seen,), offset = feeds.read(feed, "home", 0)
    assert isinstance(seen, ServerSaw)
    assert seen.peer == ""  # of a module that does not know it
    assert (seen.server, seen.sender, seen.receiver) == ("home", "a@x.test/r", "b@y.test")
    assert (seen.size, seen.body, seen.stanza, seen.at) == (210, True, "<message/>", 1700000000.5)
    assert offset == feed.stat().st_size


@pytest.mark.parametrize(("peer", "known"), [("x.test", "x.test"), (None, "")])
def test_who_is_at_the_other_end_is_read(feed: Path, peer: str | None, known: str) -> None:
    feed.write_bytes(line(peer=peer))
    (seen,), _ = feeds.read(feed, "home", 0)
    assert isinstance(seen, ServerSaw) and seen.peer == known


STREAM = {
    "at": 1700000000.5, "event": "stream-opened", "stream": "s2s", "direction": "out", "peer": "y.test", "id": "7",
    "tls": "TLSv1.3", "authentication": "EXTERNAL",
}  # fmt: skip


def test_streams_and_lines_of_the_log_become_events(feed: Path) -> None:
    closed = {**STREAM, "event": "stream-closed", "condition": "policy-violation", "by": "peer", "text": "no"}
    logged = {"at": 1.0, "event": "logged", "level": "warning", "text": "careful"}
    feed.write_bytes(b"".join(json.dumps(one).encode() + b"\n" for one in (STREAM, closed, logged)))
    opened_event, closed_event, logged_event = feeds.read(feed, "home", 0)[0]
    assert isinstance(opened_event, ServerStreamOpened)
    assert (opened_event.server, opened_event.peer, opened_event.tls) == ("home", "y.test", "TLSv1.3")
    assert opened_event.address == ""  # a feed of a server of one's own need not have it
    assert isinstance(closed_event, ServerStreamClosed)
    assert (closed_event.condition, closed_event.by, closed_event.text) == ("policy-violation", "peer", "no")
    assert logged_event == ServerLogged(at=1.0, server="home", level="warning", text="careful")


def stream(event: str, **changes: Any) -> bytes:
    closed = {"condition": "", "by": "", "text": ""} if event == "stream-closed" else {}
    return json.dumps({**STREAM, **closed, "event": event, **changes}).encode() + b"\n"


def test_streams_that_are_open_at_a_place_of_the_feed(feed: Path) -> None:
    started = b'{"at": 1.0, "event": "started"}\n'
    before = stream("stream-opened", id="killed") + started + stream("stream-opened", id="1")
    before += line(stanza='<a>"stream-opened"</a>') + stream("stream-opened", id="2")
    before += stream("stream-closed", id="1") + stream("stream-closed", id="never opened")
    feed.write_bytes(before + stream("stream-opened", id="later"))
    assert [one.id for one in feeds.open_streams(feed, "home", len(before))] == ["2"]
    assert feeds.open_streams(feed.with_name("none"), "home", 10) == []


def test_the_address_of_an_incoming_stream(feed: Path) -> None:
    feed.write_bytes(stream("stream-opened", address="127.0.0.1") + stream("stream-opened", address=7))
    with pytest.raises(PeerError, match="'address' is 7"):
        feeds.read(feed, "home", 0)
    feed.write_bytes(stream("stream-opened", address="127.0.0.1"))
    (opened_event,) = feeds.read(feed, "home", 0)[0]
    assert isinstance(opened_event, ServerStreamOpened) and opened_event.address == "127.0.0.1"


def test_a_start_is_no_event(feed: Path) -> None:
    feed.write_bytes(b'{"at": 1.0, "event": "started"}\n')
    assert feeds.read(feed, "home", 0) == ([], feed.stat().st_size)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"event": "exploded"}, "'event' is 'exploded'"),
        ({"event": []}, "'event' is"),
        ({"peer": None}, "'peer' is None"),
    ],
)
def test_a_stream_that_is_none_is_refused(feed: Path, changes: dict[str, Any], complaint: str) -> None:
    feed.write_bytes(json.dumps({**STREAM, **changes}).encode() + b"\n")
    with pytest.raises(PeerError, match=complaint):
        feeds.read(feed, "home", 0)


def test_no_file_yet_is_an_empty_feed(feed: Path) -> None:
    assert feeds.read(feed, "home", 0) == ([], 0)


@given(cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_however_the_writer_is_interrupted_each_line_is_read_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    feed = tmp_path_factory.mktemp("feed") / "feed.jsonl"
    whole = b"".join(line(id=f"m{n}", stanza="é☃" * n) for n in range(6))
    ids, offset = [], 0
    for end in [*sorted(cuts), len(whole)]:
        feed.write_bytes(whole[:end])
        seen, offset = feeds.read(feed, "home", offset)
        ids += [event.id for event in seen if isinstance(event, ServerSaw)]
    assert ids == [f"m{n}" for n in range(6)]


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (b"not json\n", "Expecting value"),
        (b"[]\n", "not a JSON object"),
        (b"\n", "Expecting value"),
        (b"\xff\xfe\n", "utf|codec|decode"),
        (line(direction="sideways"), "'direction' is 'sideways', not one of in, out"),
        (line(size="210"), "'size' is '210'"),
        (line(size=True), "'size' is True"),
        (line(body=1), "'body' is 1"),
        (line().replace(b'"to"', b'"whom"'), "'to' is missing"),
    ],
)
def test_garbage_names_file_and_line(feed: Path, bad: bytes, complaint: str) -> None:
    first = line()
    feed.write_bytes(first + line(id="m2") + bad + line(id="m4"))
    with pytest.raises(PeerError, match=complaint) as caught:
        feeds.read(feed, "home", len(first))
    assert f"{feed}:3: " in str(caught.value)


def test_a_feed_that_shrinks_is_an_error(feed: Path) -> None:
    feed.write_bytes(line())
    with pytest.raises(PeerError, match="has shrunk"):
        feeds.read(feed, "home", 10_000)
    feed.unlink()
    with pytest.raises(PeerError, match="does not exist any more"):
        feeds.read(feed, "home", 10)


def test_a_long_feed_is_read_in_parts(feed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LARGEST_READ", 3 * len(line()))
    feed.write_bytes(b"".join(line() for _ in range(10)))
    total, offset, before = 0, 0, -1
    while offset != before:
        before = offset
        seen, offset = feeds.read(feed, "home", offset)
        assert len(seen) <= 3
        total += len(seen)
    assert total == 10


def test_a_line_without_end_is_an_error_and_not_a_wait(feed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "LARGEST_READ", 100)
    feed.write_bytes(b"x" * 200)
    with pytest.raises(PeerError, match="no end of line"):
        feeds.read(feed, "home", 0)
