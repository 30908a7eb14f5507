"""Rosters, requests and corrections as people have them, without servers."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from lab.errors import NotReceived, PeerError, UserError
from lab.federation import Federation, RosterItem
from lab.federation.administration import restore_left
from lab.federation.context import Context
from lab.federation.outcomes import Refuses
from lab.federation.rooms import read_self_ping
from lab.federation.rosters import find_differences, read_roster
from lab.history.events import (
    AccountDeleted,
    AccountRegistered,
    Connected,
    Disconnected,
    DomainAccepted,
    DomainRefused,
    ReceiptReceived,
    RegistrationChanged,
    RosterRead,
    Sent,
    SubscriptionSent,
)
from lab.system.processes import Identity
from tests.federation.conftest import FakeAgent

DECISIONS = AccountDeleted | AccountRegistered | DomainAccepted | DomainRefused | RegistrationChanged
ANSWER = (
    "<iq xmlns='jabber:client' type='result'><query xmlns='jabber:iq:roster'>"
    "<item jid='bob@home.test' subscription='to' ask='subscribe' name='Bob' approved='true'/>"
    "<item jid='x@y'/></query></iq>"
)


def test_a_roster_is_read_and_compared() -> None:
    roster = read_roster(ET.fromstring(ANSWER))
    assert roster == {
        "bob@home.test": RosterItem("bob@home.test", "to", "subscribe", "Bob", approved=True),
        "x@y": RosterItem("x@y", "none"),
    }
    assert find_differences(roster, {"bob@home.test": "to", "x@y": "none", "nobody@z": "none"}) == []
    assert find_differences(roster, {"bob@home.test": "both", "nobody@z": "from"}) == [
        "bob@home.test: subscription to, ask subscribe, not both",
        "nobody@z: subscription none, not from",
    ]


@pytest.mark.parametrize(
    ("condition", "result"),
    [
        (None, "joined"),
        ("service-unavailable", "joined"),
        ("not-acceptable", "not-joined"),
        ("remote-server-timeout", "unreachable"),
    ],
)
def test_what_a_ping_to_oneself_says(condition: str | None, result: str) -> None:
    assert read_self_ping(condition) == result


async def test_a_request_is_approved_once_it_is_there(federation: Federation, agent: FakeAgent) -> None:
    item = "<item jid='alice@island.test' subscription='from'/>"
    agent.answers["iq"] = lambda device, **_: {
        "xml": f"<iq type='result'><query xmlns='jabber:iq:roster'>{item}</query></iq>"
    }
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    with pytest.raises(NotReceived, match=r"received no request by alice@island\.test within 0\.01"):
        await bob.approve(alice, within=0.01)
    ask = {"from": alice.jid, "room": None, "codes": []}
    agent.tell("presence", bob.device.key, type="subscribe", **ask)
    agent.tell("presence", bob.device.key, type="unsubscribe", **ask)
    with pytest.raises(NotReceived):
        await bob.approve(alice, within=0.01)
    agent.tell("presence", bob.device.key, type="subscribe", **ask)
    await bob.approve(alice)
    assert agent.of("send_raw") == [{"xml": "<presence type='subscribed' to=\"alice@island.test\"/>"}]
    events = [one for one in federation.history.events if isinstance(one, SubscriptionSent | RosterRead)]
    assert [type(one) for one in events] == [SubscriptionSent, RosterRead]
    assert isinstance(events[1], RosterRead) and events[1].items == (("alice@island.test", "from", ""),)
    with pytest.raises(NotReceived):
        await bob.approve(alice, within=0.01)  # it was answered


async def test_what_a_server_refuses_has_its_condition(federation: Federation, agent: FakeAgent) -> None:
    agent.answers["iq"] = lambda device, **_: {
        "xml": "<iq type='error'><error type='cancel'><item-not-found "
        "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    }
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    with pytest.raises(PeerError, match=r"subscribe to posts of bob@home\.test") as refused:
        await alice.follow(bob)
    assert refused.value.condition == "item-not-found"
    assert (await alice.device.iq("<iq type='get'/>")).condition == "item-not-found"


async def test_a_message_says_what_it_carries(federation: Federation, agent: FakeAgent) -> None:
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    first = await alice.send(bob, "helo", receipt=True)
    second = await alice.send(bob, "hello", correct=first, private=True, extensions=["<x xmlns='urn:x'/>"])
    third = await alice.send(bob, "Hello", correct=second)
    assert (second.corrects, third.corrects) == (first.id, first.id)
    carried = [" ".join(one["extensions"]) for one in agent.of("send")]
    assert carried[0] == "<request xmlns='urn:xmpp:receipts'/>"
    assert [part in carried[1] for part in (first.id, "carbons:2", "no-copy", "urn:x")] == [True] * 4
    sent = [one for one in federation.history.events if isinstance(one, Sent)]
    assert [(one.corrects, one.receipt, one.private) for one in sent] == [
        ("", True, False), (first.id, False, True), (first.id, False, False)
    ]  # fmt: skip
    with pytest.raises(UserError, match="can be corrected by its own sender"):
        await bob.send(alice, "no", correct=first)
    room = await federation.server("home").room("square", occupants=[])
    with pytest.raises(UserError, match="is a room: a message to it has no receipts"):
        await alice.send(room, "hello", receipt=True)
    with pytest.raises(NotReceived, match="was not acknowledged"):
        await first.acknowledged(within=0.01)
    agent.tell("receipt", alice.device.key, message=first.id, **{"from": bob.device.jid})
    assert (await first.acknowledged()).device == bob.device.jid
    assert any(isinstance(one, ReceiptReceived) and one.by == bob.device.jid for one in federation.history.events)


async def test_what_an_administrator_decides_is_recorded_and_promised(federation: Federation, agent: FakeAgent) -> None:
    asked: list[tuple[str, Any]] = []

    async def operate(server: str, operations: Any) -> tuple[str, ...]:
        asked.append((server, operations[0]))
        return ("token",)

    federation.lab.operate = operate  # type: ignore[method-assign]
    island, home = federation.server("island"), federation.server("home")
    alice, bob = await island.person(), await home.person()
    before = federation.link(island, home).promise
    await home.refuse(island)
    assert federation.link(island, home).promise == Refuses(("remote-server-timeout",), 2.0)
    assert isinstance(federation.link(home, island).promise, Refuses)
    await home.accept("island.test")
    assert federation.link(island, home).promise == before
    with pytest.raises(UserError, match="home cannot refuse itself"):
        await home.refuse(home)
    with pytest.raises(UserError, match="registration: one of open, closed, invited, not 'ajar'"):
        await home.registration("ajar")
    await home.registration("open")
    agent.answers["register"] = lambda device, **_: {}
    carol = await home.register("Carol", invitation="token")
    assert (carol.jid, agent.of("register")[0]["token"]) == ("carol@home.test", "token")
    with pytest.raises(UserError, match=r"bob@home\.test has no account on island"):
        await island.delete(bob)
    await bob.disconnect()
    await home.delete(bob)
    message = await alice.send(bob, "hello?")
    assert (message.expected, message.promise) == ((bob.jid,), Refuses(("service-unavailable",), 30.0))
    kinds = [one.kind for one in federation.history.events if isinstance(one, DECISIONS)]
    assert kinds == [
        "domain-refused", "domain-accepted", "registration-changed", "account-registered", "account-deleted"
    ]  # fmt: skip
    assert [server for server, _ in asked] == ["home"] * 4


async def test_what_an_administrator_decided_ends_with_the_run(federation: Federation) -> None:
    asked: list[str] = []

    async def operate(server: str, operations: Any) -> tuple[str, ...]:
        asked.append(server)
        return ()

    federation.lab.operate = operate  # type: ignore[method-assign]
    island, home = federation.server("island"), federation.server("home")
    await home.refuse(island)
    await island.registration("open")
    await home.registration("closed")
    await federation.close()
    assert asked == ["home", "island", "home", "island", "home"]
    (closed, accepted) = [one for one in federation.history.events if isinstance(one, DECISIONS)][-2:]
    assert (closed.kind, closed.server, closed.mode) == ("registration-changed", "island", "closed")  # type: ignore[union-attr]
    assert (accepted.kind, accepted.server) == ("domain-accepted", "home")  # type: ignore[union-attr]


async def test_what_a_killed_run_decided_ends_when_the_next_one_begins(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def operate(server: str, operations: Any) -> tuple[str, ...]:
        asked.append(server)
        return ()

    federation.lab.operate = operate  # type: ignore[method-assign]
    island, home = federation.server("island"), federation.server("home")
    await home.refuse(island)
    await island.registration("open")
    del asked[:]
    folder, next_run = federation.lab.layout.changes, Context(federation.lab, federation.history)
    await restore_left(next_run)
    assert (asked, len([*folder.iterdir()])) == ([], 1), "its run is still there"
    with monkeypatch.context() as patch:
        patch.setattr(Identity, "alive", False)
        await restore_left(next_run)
    assert (asked, [*folder.iterdir()]) == (["island", "home"], [])


async def test_a_stream_that_may_be_resumed_keeps_its_rooms_and_its_presence(
    federation: Federation, agent: FakeAgent
) -> None:
    alice, bob = await federation.server("island").person(resumable=True), await federation.server("home").person()
    assert [one["resumable"] for one in agent.of("connect")] == [True, False]
    room = await federation.server("home").room("square", occupants=[])
    room.occupants += [alice, bob]
    agent.tell("presence-sent", alice.device.key, stream="s", available=True, priority=5, show="")
    agent.tell("disconnected", alice.device.key, stream="s", reason="dropped", unacknowledged=["m"], resumable=True)
    agent.tell("disconnected", bob.device.key, stream="s", reason="dropped")
    assert (room.occupants, alice.device.connected) == ([alice], False)
    agent.tell("connected", alice.device.key, jid=alice.device.jid, stream="s2", resumed=True)
    assert (alice.device.connected, alice.device.priority, alice.device.stream) == (True, 5, "s2")
    connected = [one for one in federation.history.events if isinstance(one, Connected)]
    assert [one.resumed for one in connected] == [True]
    lost = [one for one in federation.history.events if isinstance(one, Disconnected)]
    assert [(one.resumable, one.unacknowledged) for one in lost] == [(True, ("m",)), (False, ())]
    await alice.device.delay_acknowledgements(by="5s")
    assert agent.of("delay_acknowledgements") == [{"seconds": 5.0}]
