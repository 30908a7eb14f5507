"""Block lists that change by stanzas: a script's raw ones, or those of a client of a person's own (XEP-0191)."""

from __future__ import annotations

import pytest

from lab.federation import Federation, Person
from lab.federation.block_requests import MOST, Change, read_change
from lab.history.events import Blocked, ServerSaw, Unblocked
from tests.federation.conftest import FakeAgent


def request(what: str, *jids: str, number: str = "b1") -> str:
    items = "".join(f"<item jid='{jid}'/>" for jid in jids)
    return f"<iq type='set' id='{number}'><{what} xmlns='urn:xmpp:blocking'>{items}</{what}></iq>"


def test_only_a_request_that_changes_a_list_is_one() -> None:
    assert read_change(request("block", "a@b", "c")) == ("b1", Change(True, ("a@b", "c")))
    assert read_change(request("unblock")) == ("b1", Change(False, ()))
    assert read_change("<iq type='get' id='1'><blocklist xmlns='urn:xmpp:blocking'/></iq>") is None
    assert read_change(request("block", "a@b").replace("type='set'", "type='result'")) is None
    assert read_change("<message><body>urn:xmpp:blocking</body></message>") is None
    assert read_change("<iq type='set'><block xmlns='urn:xmpp:blocking'>") is None


async def two(federation: Federation) -> tuple[Person, Person]:
    return await federation.server("island").person("alice"), await federation.server("home").person("bob")


def changes(federation: Federation) -> list[tuple[str, str, str]]:
    found = (one for one in federation.history.events if isinstance(one, Blocked | Unblocked))
    return [(one.kind, one.person, one.jid) for one in found]


def exchange(agent: FakeAgent, device: str, xml: str, answer: str = "result", number: str = "b1") -> None:
    agent.tell("stanza", device, direction="out", xml=xml, stream="s")
    agent.tell("stanza", device, direction="in", xml=f"<iq type='{answer}' id='{number}'/>", stream="s")


async def test_a_raw_request_counts_once_it_is_accepted(federation: Federation, agent: FakeAgent) -> None:
    alice, bob = await two(federation)
    agent.tell("stanza", bob.device.key, direction="out", xml=request("block", alice.jid), stream="s")
    assert (await alice.send(bob, "hello")).expected == (bob.device.jid,), "nobody has accepted it yet"
    agent.tell("stanza", bob.device.key, direction="in", xml="<iq type='result' id='other'/>", stream="s")
    agent.tell("stanza", alice.device.key, direction="in", xml="<iq type='result' id='b1'/>", stream="s")
    assert changes(federation) == []
    agent.tell("stanza", bob.device.key, direction="in", xml="<iq type='result' id='b1'/>", stream="s")
    message = await alice.send(bob, "hello")
    assert (message.expected, message.blocked) == ((), True)
    exchange(agent, bob.device.key, request("block", "x@y.test", "public.test"))
    exchange(agent, bob.device.key, request("block", "refused.test"), answer="error")
    exchange(agent, bob.device.key, request("unblock", "x@y.test"))
    exchange(agent, bob.device.key, request("unblock"))
    assert [(kind, jid) for kind, _, jid in changes(federation)] == [
        ("blocked", alice.jid), ("blocked", "x@y.test"), ("blocked", "public.test"), ("unblocked", "x@y.test"),
        ("unblocked", alice.jid), ("unblocked", "public.test"),
    ]  # fmt: skip
    assert (await alice.send(bob, "hello")).expected == (bob.device.jid,)


def saw(federation: Federation, client: str, direction: str, xml: str, kind: str = "set", number: str = "b1") -> None:
    """The feed of bob's server shows an IQ of a client's."""
    federation._on_seen(
        ServerSaw(
            at=1.0, server="home", direction=direction, stream="c2s", name="iq", type=kind, id=number, sender=None,
            receiver=None, size=len(xml), encryption=None, body=False, stanza=xml, peer=client,
        )
    )  # fmt: skip


async def test_a_person_s_own_client_blocks_for_all_of_them(federation: Federation, agent: FakeAgent) -> None:
    alice, bob = await two(federation)
    own = f"{bob.jid}/profanity"
    saw(federation, own, "in", request("block", alice.jid))
    saw(federation, own, "out", "<iq/>", kind="set")
    assert changes(federation) == []
    saw(federation, own, "out", "<iq/>", kind="result")
    saw(federation, own, "out", "<iq/>", kind="result")
    assert changes(federation) == [("blocked", bob.jid, alice.jid)]
    assert (await alice.send(bob, "hello")).expected == ()
    saw(federation, "stranger@home.test/x", "in", request("block", alice.jid))
    saw(federation, "stranger@home.test/x", "out", "<iq/>", kind="result")
    assert len(changes(federation)) == 1


async def test_what_a_server_reports_late_of_the_lab_s_devices_changes_nothing(
    federation: Federation, agent: FakeAgent
) -> None:
    alice, bob = await two(federation)
    exchange(agent, bob.device.key, request("block", alice.jid))
    exchange(agent, bob.device.key, request("unblock", alice.jid))
    saw(federation, bob.device.jid, "in", request("block", alice.jid))
    saw(federation, bob.device.jid, "out", "<iq/>", kind="result")
    assert [one[0] for one in changes(federation)] == ["blocked", "unblocked"]
    assert not bob.blocked


async def test_requests_without_an_answer_are_forgotten(federation: Federation, agent: FakeAgent) -> None:
    alice, bob = await two(federation)
    for number in range(MOST + 1):
        federation.participants.block_requests.on_sent(bob.device.jid, request("block", alice.jid, number=f"n{number}"))
    federation.participants.block_requests.on_answered(bob.device.jid, "n0", "result")
    assert changes(federation) == []
    federation.participants.block_requests.on_answered(bob.device.jid, f"n{MOST}", "result")
    assert len(changes(federation)) == 1


@pytest.mark.parametrize("times", [1, 2])
async def test_block_and_what_is_seen_of_it_count_once(federation: Federation, agent: FakeAgent, times: int) -> None:
    alice, bob = await two(federation)

    def accept(device: str | None, *, xml: str, **_: object) -> dict[str, str]:
        exchange(agent, bob.device.key, xml.replace("<iq ", "<iq id='b1' "))
        return {"xml": "<iq type='result' id='b1'/>"}

    agent.answers["iq"] = accept
    for _ in range(times):
        await bob.block(alice)
    assert changes(federation) == [("blocked", bob.jid, alice.jid)]
