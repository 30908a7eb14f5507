"""What becomes of an attempt to write to somebody: each answer, and that nothing is said where nothing is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import PeerError, TimedOut, UserError
from lab.federation import Attempt, Federation, Person
from lab.federation.context import Context
from lab.topology.spec import Placement
from tests.federation.conftest import FakeAgent

TEXT = "the words that nobody else may read"
CLIENT = "jabber:client"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
OMEMO = "eu.siacs.conversations.axolotl"


class Route:
    """From alice to bob: what her device writes, what his device is told, and who answers the ping behind it."""

    def __init__(self, agent: FakeAgent, alice: Person, bob: Person) -> None:
        self.agent, self.alice, self.bob = agent, alice, bob
        self.written = "<encrypted/>"  # inside the message
        self.happens: Callable[[str], None] = self.nothing  # once alice's message with this id was written
        self.error: Exception | None = None  # of sending
        self.answer = "<iq type='result' id='p1'/>"  # to the ping
        self.pinged = True  # whether bob's device saw it
        agent.answers |= {"send": self._send, "iq": self._iq}

    def nothing(self, message: str) -> None:
        """It is never heard of again."""

    def passes(self, message: str) -> None:
        """Bob's device gets it."""
        self.stanza(self.bob, "in", f"<message id='{message}' from='{self.alice.device.jid}'>{self.written}</message>")
        self.tell(self.bob, "delivered", message, encrypted=None if "body" in self.written else OMEMO, body=TEXT,
                  stream="", via="live", to=self.bob.jid)  # fmt: skip

    def is_read(self, message: str, text: str = TEXT) -> None:
        """And it decrypts it."""
        self.passes(message)
        self.tell(self.bob, "decrypted", message, body=text, encryption="omemo")

    def is_not_read(self, message: str) -> None:
        """And it cannot decrypt it."""
        self.passes(message)
        self.tell(self.bob, "not-decrypted", message, reason="no session", encryption="omemo")

    def is_returned(self, message: str) -> None:
        """Somebody returns it."""
        self.agent.tell("bounced", self.alice.device.key, message=message, condition="forbidden", by=self.bob.jid)

    def tell(self, person: Person, event: str, message: str, **fields: Any) -> None:
        self.agent.tell(event, person.device.key, message=message, **{"from": self.alice.device.jid, **fields})

    def stanza(self, person: Person, direction: str, xml: str) -> None:
        self.agent.tell("stanza", person.device.key, direction=direction, xml=xml, stream="s")

    def _send(self, device: str | None, *, message: str, **_: Any) -> None:
        if self.error is not None and "body" not in self.written:
            raise self.error
        self.stanza(self.alice, "out", f"<message id='{message}' to='{self.bob.jid}'>{self.written}</message>")
        if self.error is not None:
            raise self.error
        self.happens(message)

    def _iq(self, device: str | None, **_: Any) -> dict[str, Any]:
        if self.pinged:
            self.stanza(self.bob, "in", "<iq type='get' id='p1'/>")
        return {"xml": self.answer}


@pytest.fixture
async def route(federation: Federation, agent: FakeAgent) -> Route:
    alice = await federation.server("home").person("alice", encryption="omemo")
    return Route(agent, alice, await federation.server("public").person("bob", encryption="omemo"))


@pytest.mark.parametrize(
    ("happens", "attempt"),
    [
        ("is_read", Attempt("read", "omemo")),
        ("is_not_read", Attempt("unread", "omemo", "no session")),
        ("is_returned", Attempt("returned", "omemo", "forbidden")),
        ("nothing", Attempt("lost", "omemo")),
    ],
)
async def test_what_happens_is_what_is_said(route: Route, happens: str, attempt: Attempt) -> None:
    route.happens = getattr(route, happens)
    assert await route.alice.attempt(route.bob, TEXT) == attempt


async def test_another_text_is_not_read(route: Route) -> None:
    route.happens = lambda message: route.is_read(message, "other words")
    assert await route.alice.attempt(route.bob, TEXT) == Attempt("unread", "omemo", "it reads another text")


async def test_a_device_without_encryption_gets_it_and_cannot_read_it(federation: Federation, route: Route) -> None:
    await route.bob.disconnect()
    route.bob.devices.insert(0, await route.bob.add_device("old", encryption="plain"))
    route.happens = route.passes
    said = await route.alice.attempt(route.bob, TEXT)
    assert said == Attempt("unread", "omemo", "its device announces no encryption")


async def test_what_cannot_be_encrypted_is_refused_with_the_reason(route: Route) -> None:
    route.error = PeerError("not sent: no keys")
    assert await route.alice.attempt(route.bob, TEXT) == Attempt("refused", "", "not sent: no keys")


@pytest.mark.parametrize("error", [None, PeerError("not sent: no keys")], ids=["and sends", "and says it did not"])
@pytest.mark.parametrize("happens", ["passes", "nothing"])
async def test_a_device_that_sends_in_the_clear_is_found_out(
    route: Route, happens: str, error: PeerError | None
) -> None:
    route.written, route.error = f"<body>{TEXT}</body>", error
    route.happens = getattr(route, happens)
    assert (await route.alice.attempt(route.bob, TEXT)).result == "exposed"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"pinged": False}, "not by that device"),
        ({"answer": f"<iq type='error' id='p1'><error><remote-server-timeout xmlns='{STANZAS}'/></error></iq>"},
         "answered with remote-server-timeout"),
    ],
)  # fmt: skip
async def test_without_an_answer_from_that_device_nothing_is_said(
    route: Route, change: dict[str, Any], why: str
) -> None:
    for name, value in change.items():
        setattr(route, name, value)
    with pytest.raises(PeerError, match=why):
        await route.alice.attempt(route.bob, TEXT)


async def test_a_device_that_does_not_say_whether_it_can_read_it_is_waited_for(route: Route, monkeypatch) -> None:
    monkeypatch.setattr("lab.federation.messages.DELIVERY_DEADLINE", 0.05)
    route.happens = route.passes
    with pytest.raises(TimedOut, match="has not said whether it can read it"):
        await route.alice.attempt(route.bob, TEXT)


async def test_a_text_that_would_be_found_by_chance_is_not_sent(route: Route) -> None:
    with pytest.raises(UserError, match="may stand in ciphertext by chance"):
        await route.alice.attempt(route.bob, "one")
    assert not route.agent.of("send")


async def test_both_must_be_connected(route: Route) -> None:
    await route.bob.disconnect()
    with pytest.raises(UserError, match=r"bob@public\.test is not connected"):
        await route.alice.attempt(route.bob, TEXT)
    assert not route.agent.of("send")


@pytest.mark.parametrize(("placement", "wanted"), [(Placement.TOGETHER, [9]), (Placement.EACH, [3, 3, 3])])
async def test_people_who_come_at_once_have_one_agent_or_one_each(
    federation: Federation, monkeypatch: pytest.MonkeyPatch, placement: Placement, wanted: list[int]
) -> None:
    agents: list[FakeAgent] = []
    started: list[tuple[bool, Path | None]] = []  # with an address of its own; the folder of its keys

    async def start(self: Context, on_event: Any, *, own_address: bool, folder: Path | None = None) -> FakeAgent:
        started.append((own_address, folder))
        assert folder is None or folder.is_dir()
        agents.append(made := FakeAgent())
        await asyncio.sleep(0)
        return made

    monkeypatch.setattr(Context, "start_agent", start)
    lab = federation.context.lab
    monkeypatch.setattr(lab, "plan", replace(lab.plan, topology=replace(lab.plan.topology, placement=placement)))
    people = await asyncio.gather(*(federation.server("home").person(devices=2) for _ in range(3)))
    for person in people:
        await person.device.presence("away")
    assert [len(one.of("connect") + one.of("presence")) for one in agents] == wanted
    alone = placement is Placement.EACH
    assert {own for own, _ in started} == {alone}
    assert {folder for _, folder in started} == (
        {lab.layout.person("home", one.name) for one in people} if alone else {None}
    )
    if alone:  # who registers has no folder until the server has agreed
        await federation.server("home").register("zoe")
        assert [folder for _, folder in started[3:]] == [None, lab.layout.person("home", "zoe")]
        assert agents[3].closed and [len(agents[3].of("register")), len(agents[4].of("register"))] == [1, 0]
    await federation.context.close()
    assert all(one.closed for one in agents)
