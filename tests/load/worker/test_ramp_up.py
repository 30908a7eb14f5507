"""RoomJoins rooms: who is turned away, or hears nothing, asks again; who never gets in is named."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from lab.errors import TimedOut
from lab.load.client.xml_stream import Element
from lab.load.worker import ramp_up
from lab.load.worker.ramp_up import RoomJoins

ROOM = "loadroom1@conference.a.example"


def _session(number: int) -> SimpleNamespace:
    sent: list[bytes] = []
    return SimpleNamespace(number=number, sent=sent, send=sent.append)


def _inside() -> Element:
    presence = Element("presence", {"from": f"{ROOM}/load0"})
    status = Element("status", {"code": ramp_up.OWN_PRESENCE})
    presence.children.append(status)
    return presence


async def test_who_hears_nothing_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ramp_up, "JOIN_ANSWER_TIMEOUT", 0.05)
    room, session = RoomJoins(lambda user: ROOM), _session(0)
    room.join(session)
    waiting = asyncio.create_task(room.wait_until_joined())
    async with asyncio.timeout(60):
        while len(session.sent) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert room.on_presence(session, _inside())
        await waiting


async def test_who_never_gets_in_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ramp_up, "JOIN_TIMEOUT", 0.1)
    room = RoomJoins(lambda user: ROOM)
    room.join(_session(0))
    with pytest.raises(TimedOut, match=r"1 users cannot join their rooms") as caught:
        await room.wait_until_joined()
    assert f"{ROOM}/load0: no answer" in str(caught.value)


async def test_who_has_no_room_waits_for_nothing() -> None:
    room, session = RoomJoins(lambda user: None), _session(0)
    room.join(session)
    await room.wait_until_joined()
    assert session.sent == []
