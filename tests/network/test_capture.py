"""What relays carry is kept for who watches, and searched for texts."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from lab.errors import UserError
from lab.network.capture import LinkCapture
from tests.network.test_relay import Path, path

SECRET, OTHER = "canary-6f1d2c3b4a5968778695a4b3", "canary-000000000000000000000000"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with what it was sent, in base64."""
    with suppress(ConnectionResetError):  # the end of the test
        while data := await reader.read(1000):
            writer.write(base64.b64encode(data))
    writer.close()


@asynccontextmanager
async def watched(limit: int = 1000) -> AsyncIterator[tuple[Path, LinkCapture]]:
    async with path(echo) as there:
        capture = LinkCapture({("a", "b"): there.relay}, limit)
        capture.start("me")
        yield there, capture


async def say(there: Path, *pieces: str) -> None:
    """Send pieces over one connection, each once the one before was answered."""
    reader, writer = await there.call()
    for piece in pieces:
        writer.write(piece.encode())
        await reader.readexactly(len(base64.b64encode(piece.encode())))


async def found(capture: LinkCapture, holder: object = "me") -> tuple[int, set[str], bool]:
    """Bytes, how the secret was found, and whether all was searched."""
    (link,) = await capture.search(holder, [SECRET, OTHER])
    assert (link["source"], link["target"]) == ("a", "b")
    assert all(text == SECRET for text, _ in link["found"])
    return link["bytes"], {encoding for _, encoding in link["found"]}, link["complete"]


async def test_both_directions_are_searched() -> None:
    async with watched() as (there, capture):
        assert await found(capture) == (0, set(), True)
        await say(there, f"<body>{SECRET}</body>")
        count = len(f"<body>{SECRET}</body>")
        assert await found(capture) == (count + len(base64.b64encode(bytes(count))), {"raw", "base64"}, True)


async def test_a_text_in_pieces_is_found_on_one_connection_and_not_across_two() -> None:
    async with watched() as (there, capture):
        await say(there, SECRET[:13])
        await say(there, SECRET[13:])
        assert (await found(capture))[1] == set()
        await say(there, SECRET[:13], SECRET[13:])
        assert (await found(capture))[1] == {"raw"}


async def test_what_is_beyond_the_limit_is_not_searched_and_said_so() -> None:
    async with watched(limit=40) as (there, capture):
        await say(there, "x" * 39, SECRET)
        count, encodings, complete = await found(capture)
        assert (encodings, complete) == (set(), False)
        assert count > 40


async def test_each_sees_what_passed_since_and_the_last_drops_all() -> None:
    async with watched() as (there, capture):
        await say(there, "hello")
        capture.start("another")
        capture.release("me")
        await say(there, SECRET)
        assert (await found(capture, "another"))[1] == {"raw", "base64"}
        with pytest.raises(UserError, match="start_capture first"):
            await found(capture)
        capture.release("another")
        assert there.relay.sent.tap is None and there.relay.answered.tap is None
        await say(there, "more")
        capture.start("third")
        assert await found(capture, "third") == (0, set(), True)
