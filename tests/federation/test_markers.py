"""A marker behind the messages on each route that was used, and what is known without it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from lab.checks import Value
from lab.checks.delivery import check
from lab.errors import PeerError
from lab.federation import Federation, Peer, Person, markers
from lab.history.events import RouteSettled, ServerSaw
from lab.metrics.record import RunRecord
from tests.federation.conftest import FakeAgent


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markers, "MARKER_DEADLINE", 0.05)


def settled(federation: Federation) -> list[RouteSettled]:
    return [one for one in federation.history.events if isinstance(one, RouteSettled)]


def delivers(federation: Federation, agent: FakeAgent, *, markers_only: bool = True) -> None:
    """Let each message be received at once by whom it is addressed to."""

    def deliver(device: str | None, *, to: str, body: str, message: str, marker: bool = False, **_: Any) -> None:
        for one in federation.participants.devices.values():
            if to == one.jid and (marker or not markers_only):
                agent.tell(
                    "delivered", one.key, message=message, via="live", body=body, stream="s", **{"from": str(device)}
                )

    agent.answers["send"] = deliver


async def test_one_marker_for_each_route_that_promises_a_delivery(federation: Federation, agent: FakeAgent) -> None:
    delivers(federation, agent)
    alice, bob, carol = [await federation.server(name).person() for name in ("island", "home", "public")]
    for to in (bob, bob, carol):  # there is no link to carol
        await alice.send(to, "hello")
    await bob.send(carol, "hello")
    await federation.settle()
    routes = {(one.sender, one.receiver): one.arrived for one in settled(federation)}
    assert routes == {(alice.device.jid, bob.device.jid): True, (bob.device.jid, carol.device.jid): True}
    sent = [one for one in agent.of("send") if one["marker"]]
    assert {one["body"] for one in sent} == {federation.context.control}, "the text that a search must find"


async def test_a_marker_that_does_not_arrive_is_recorded(federation: Federation) -> None:
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    await alice.send(bob, "hello")
    await federation.settle()
    (one,) = settled(federation)
    assert (one.arrived, one.broken) == (False, False)
    assert "not settled before the deadline" in one.detail


async def test_a_stream_that_broke_in_between_is_recorded(federation: Federation, agent: FakeAgent) -> None:
    delivers(federation, agent)
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    agent.tell("disconnected", bob.device.key, stream="s")  # before anything was sent
    await bob.connect()
    await alice.send(bob, "hello")
    agent.tell("disconnected", alice.device.key, stream="s")
    await alice.connect()
    await federation.settle()
    (one,) = settled(federation)
    assert (one.arrived, one.broken) == (True, True)


async def test_no_marker_is_waited_for_where_one_has_blocked_the_other(
    federation: Federation, agent: FakeAgent
) -> None:
    agent.answers["iq"] = lambda device, **_: {"xml": "<iq type='result'/>"}
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    await alice.send(bob, "hello")
    await bob.block(alice)
    await bob.send(alice, "not even this")
    await federation.settle()
    (one,) = settled(federation)
    assert (one.sender, one.arrived) == (alice.device.jid, False)
    assert one.detail == "blocked at the end: no marker can arrive"
    assert len(agent.of("send")) == 2, "no marker"


async def test_who_is_not_connected_at_the_end_is_named(federation: Federation, agent: FakeAgent) -> None:
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    await alice.send(bob, "hello")
    await bob.disconnect()
    await federation.settle()
    (one,) = settled(federation)
    assert one.detail == f"not connected at the end: {bob.device.jid}"
    assert len(agent.of("send")) == 1, "no marker"


def own_client_wrote(federation: Federation, alice: Person, bob: Person) -> None:
    """Alice's server received it from a client of her own; nobody saw it again."""
    federation.history.record(
        ServerSaw(
            at=time.time(), server="island", direction="in", stream="c2s", name="message", type="chat", id="p1",
            sender=f"{alice.jid}/own", receiver=bob.jid, size=100, encryption=None, body=True, stanza=None,
            peer=f"{alice.jid}/own",
        )
    )  # fmt: skip


async def test_a_marker_follows_what_is_missing_of_a_person_s_own_client(
    federation: Federation, agent: FakeAgent
) -> None:
    delivers(federation, agent)
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    for person in (alice, bob):
        agent.tell("connected", person.device.key, jid=person.device.jid, stream="s")
    own_client_wrote(federation, alice, bob)
    await federation.settle()
    (one,) = settled(federation)
    assert (one.sender, one.receiver, one.arrived) == (alice.device.jid, bob.device.jid, True)


async def test_none_follows_what_arrived_or_where_nobody_is_that_could_send_it(
    federation: Federation, agent: FakeAgent
) -> None:
    delivers(federation, agent)
    alice, bob = await federation.server("island").person(), await federation.server("home").person()
    for person in (alice, bob):
        agent.tell("connected", person.device.key, jid=person.device.jid, stream="s")
    own_client_wrote(federation, alice, bob)
    await alice.disconnect()
    await federation.settle()
    assert settled(federation) == [], "no device of the lab's on her server"
    await alice.connect()
    agent.tell(
        "delivered", bob.device.key, message="p1", via="live", body="x", stream="s", **{"from": f"{alice.jid}/own"}
    )
    await federation.settle()
    assert settled(federation) == [], "it was delivered"


def scripted(federation: Federation) -> Peer:
    """public as a scripted peer; what its agent tells is not what the devices' tells."""
    return Peer(federation.participants, federation.server("public"))


def tell(federation: Federation, event: str, person: Person, **fields: Any) -> None:
    """An event of a person's device, while a peer has the fake agent."""
    assert federation.context.on_event is not None
    federation.context.on_event({"event": event, "device": person.device.key, "at": 1.0, **fields})


async def test_a_scripted_peer_sends_a_marker_behind_what_is_missing(federation: Federation, agent: FakeAgent) -> None:
    bob = await federation.server("home").person()

    def send(device: str | None, *, xml: str, **_: Any) -> None:
        if federation.context.control in xml:  # the marker, and nothing else
            tell(federation, "stanza", bob, direction="in", xml=xml, stream="s")

    agent.answers["peer_send"] = send
    async with scripted(federation) as peer:
        for number in ("m1", "m2"):
            await peer.send(
                f"<message id='{number}' type='chat' from='robot@public.test' to='{bob.jid}'><body>x</body></message>"
            )
        await peer.send("<message id='m3' from='robot@public.test' to='nobody@home.test'><body>x</body></message>")
    (one,) = settled(federation)
    assert (one.sender, one.receiver, one.arrived, one.broken) == (
        "robot@public.test", bob.device.jid, True, False,
    )  # fmt: skip
    verdict = check(RunRecord(tuple(federation.history.events), federation.lab.plan))
    assert [one.message for one in verdict.findings if one.value is Value.FAILED] == ["m1", "m2"]
    assert all("is lost: a marker sent after it" in one.sentence for one in verdict.findings)


async def test_a_marker_of_a_scripted_peer_that_cannot_be_sent_leaves_it_open(
    federation: Federation, agent: FakeAgent
) -> None:
    bob = await federation.server("home").person()
    async with scripted(federation) as peer:
        await peer.send(f"<message id='m1' from='robot@public.test' to='{bob.jid}'><body>x</body></message>")

        def refuse(device: str | None, **_: Any) -> None:
            raise PeerError("no stream")

        agent.answers["peer_send"] = refuse
    (one,) = settled(federation)
    assert (one.arrived, one.broken, one.detail) == (False, True, "no stream")
    verdict = check(RunRecord(tuple(federation.history.events), federation.lab.plan))
    assert [one.value for one in verdict.findings] == [Value.UNKNOWN]


async def test_a_scripted_peer_whose_message_arrived_sends_no_marker(federation: Federation, agent: FakeAgent) -> None:
    bob = await federation.server("home").person()
    async with scripted(federation) as peer:
        await peer.send(f"<message id='m1' from='robot@public.test' to='{bob.jid}'><body>x</body></message>")
        tell(
            federation, "delivered", bob, message="m1", via="live", body="x", stream="s",
            **{"from": "robot@public.test"},
        )  # fmt: skip
    assert (settled(federation), len(agent.of("peer_send"))) == ([], 1)
