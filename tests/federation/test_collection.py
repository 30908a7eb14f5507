"""Where the control text of the markers must be, so that a search that does not find it proves nothing."""

import time
from pathlib import Path

import pytest

from lab.federation import Federation, collection
from lab.federation.people import Person
from lab.history.events import Searched
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
