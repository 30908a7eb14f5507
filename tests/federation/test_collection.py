"""Where the control text of the markers must be, so that a search that does not find it proves nothing."""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.federation import Federation, collection
from lab.federation.people import Person
from lab.history.events import CanaryFound, FileUploaded, Searched
from lab.history.key_events import LinkSearched
from tests.federation.conftest import FakeAgent


@pytest.fixture
async def people(federation: Federation, agent: FakeAgent, monkeypatch: pytest.MonkeyPatch) -> list[Person]:
    """One person on island and one on home, in a room of home; each message arrives at once."""
    monkeypatch.setattr(collection, "CONTROL_DEADLINE", 0.2)

    async def operate(server: str, operations: object) -> None: ...

    federation.lab.operate = operate  # type: ignore[method-assign]

    def deliver(device: str | None, *, to: str, body: str, message: str, **_: object) -> None:
        for one in federation.participants.devices.values():
            if to in (one.jid, one.person.jid) or "conference" in to:
                sender = federation.participants.devices[str(device)].jid if "conference" not in to else f"{to}/nick"
                agent.tell("delivered", one.key, message=message, via="live", body=body, stream="s", **{"from": sender})

    agent.answers["send"] = deliver
    return [await federation.server(name).person() for name in ("island", "home")]


async def places(federation: Federation) -> set[tuple[str, str]]:
    """Where the control text was looked for."""
    await federation.settle()
    servers = [federation.server(name) for name in ("island", "home")]
    await collection.search(federation.participants, servers)
    found = [one for one in federation.history.events if isinstance(one, Searched)]
    return {(one.server, one.place) for one in found if one.control is not None}


async def test_without_a_secret_nothing_is_waited_for(federation: Federation, people: list[Person]) -> None:
    await people[0].send(people[1], "hello")
    started = time.monotonic()
    assert await places(federation) == set()
    assert time.monotonic() - started < 0.2


async def test_both_servers_archive_what_people_write_to_each_other(
    federation: Federation, people: list[Person]
) -> None:
    await people[0].send(people[1], federation.secret())
    assert await places(federation) == {(name, place) for name in ("island", "home") for place in ("feed", "archive")}


def list_occupants(joined: list[str]) -> str:
    items = "".join(f"<item nick='{one.partition('/')[2]}' role='moderator'/>" for one in joined)
    return f"<iq type='result'><query xmlns='http://jabber.org/protocol/muc#admin'>{items}</query></iq>"


async def test_what_is_said_in_a_room_is_archived_by_its_server(
    federation: Federation, agent: FakeAgent, people: list[Person], tmp_path: Path
) -> None:
    joined: list[str] = []
    agent.answers["join"] = lambda device, *, room, nick, **_: joined.append(f"{room}/{nick}")
    agent.answers["occupants"] = lambda device, **_: {"occupants": joined}
    agent.answers["iq"] = lambda device, **_: {"xml": list_occupants(joined)}  # the room's own list
    room = await federation.server("home").room("hall", occupants=people)
    await people[0].send(room, federation.secret())
    assert await places(federation) == {("island", "feed"), ("home", "feed"), ("home", "archive")}


async def test_uploaded_files_are_their_own_control(
    federation: Federation, agent: FakeAgent, people: list[Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file whose ciphertext is not where uploads are nobody knows whether it was searched."""
    monkeypatch.setattr(collection, "CONTROL_DEADLINE", 0.0)
    content, secret = b"ciphertext", federation.secret()
    url = "aesgcm://upload.island.test/x.txt#" + "00" * 12 + "0f" * 32
    agent.answers["upload"] = lambda device, **_: {"url": url, "sha256": hashlib.sha256(content).hexdigest()}
    assert await people[0].device.upload(secret.encode(), encrypted=True) == url
    (event,) = [one for one in federation.history.events if isinstance(one, FileUploaded)]
    assert (event.url, event.encrypted) == ("https://upload.island.test/x.txt", True)
    assert event.canaries == (federation.context.canaries[0], "0f" * 32), "the key is a secret as well"
    uploads = federation.lab.layout.server("island") / "data/upload%2eisland%2etest/http_file_share"
    uploads.mkdir(parents=True)
    (uploads / "x.bin").write_bytes(b"something else")
    assert await controls(federation, "uploads") == {"island": False, "home": None}
    (uploads / "x.bin").write_bytes(content)
    assert await controls(federation, "uploads") == {"island": True, "home": None}
    assert not [one for one in federation.history.events if isinstance(one, CanaryFound)]
    (uploads / "y.bin").write_bytes(b"..." + b"0f" * 32)
    await controls(federation, "uploads")
    (leak,) = [one for one in federation.history.events if isinstance(one, CanaryFound)]
    assert (leak.server, leak.place, leak.canary) == ("island", "uploads", "0f" * 32)


async def controls(federation: Federation, place: str) -> dict[str, bool | None]:
    """What the last search of this place says of its control, by server."""
    await collection.search(federation.participants, [federation.server(name) for name in ("island", "home")])
    found = [one for one in federation.history.events if isinstance(one, Searched) and one.place == place]
    return {one.server: one.control for one in found[-2:]}


async def test_what_passed_the_links_is_searched_where_there_are_secrets(
    federation: Federation, people: list[Person]
) -> None:
    asked: list[list[str]] = []

    async def search(texts: Sequence[str]) -> list[dict[str, Any]]:
        asked.append(list(texts))
        found = [(one, "raw") for one in texts]
        return [{"source": "island", "target": "home", "bytes": 9, "found": found, "complete": True}]

    await collection.search_links(federation.participants, search)
    assert asked == [], "no secret"
    message = await people[0].send(people[1], federation.secret())
    await collection.search_links(federation.participants, search)
    (canary,) = federation.context.canaries
    assert asked == [[canary, federation.context.control]]
    (searched,) = [one for one in federation.history.events if isinstance(one, LinkSearched)]
    (leak,) = [one for one in federation.history.events if isinstance(one, CanaryFound)]
    assert (searched.source, searched.bytes, searched.control, searched.complete) == ("island", 9, True, True)
    assert (leak.place, leak.canary, leak.where, leak.message) == ("link", canary, "island - home", message.id)
