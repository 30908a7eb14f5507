"""Events of devices become events of the history, and outcomes of messages."""

from typing import Any

import pytest

from lab.federation import Federation
from lab.history.events import Bounced, Decrypted, Delivered, Disconnected, NotDecrypted, Note
from tests.federation.conftest import FakeAgent


@pytest.mark.parametrize(
    ("event", "fields", "kind", "recorded"),
    [
        ("disconnected", {"stream": "s", "reason": "kicked"}, Disconnected, {"stream": "s", "reason": "kicked"}),
        (
            "delivered",
            {"from": "x@x.test/y", "message": "m1", "via": "carbon", "body": "b", "stream": "s"},
            Delivered,
            {"message": "m1", "sender": "x@x.test/y", "via": "carbon", "stream": "s"},
        ),
        (
            "decrypted",
            {
                "from": "x@x.test/y",
                "message": "m1",
                "encryption": "omemo",
                "body": "b",
                "sender_key": "k",
                "trust": "blind",
            },
            Decrypted,
            {"message": "m1", "sender_key": "k", "trust": "blind", "matches": None},
        ),
        (
            "not-decrypted",
            {"from": "x@x.test/y", "message": "m1", "encryption": "omemo", "reason": "no session"},
            NotDecrypted,
            {"reason": "no session", "sender": "x@x.test/y"},
        ),
        (
            "bounced",
            {"message": "m1", "condition": "gone", "by": "x.test", "type": "cancel"},
            Bounced,
            {"condition": "gone", "by": "x.test", "error_type": "cancel"},
        ),
        ("trouble", {"message": "a handler broke"}, Note, {"text": "a handler broke"}),
        ("dance", {}, Note, {"by": "agent"}),
    ],
)
async def test_each_event_is_recorded(
    federation: Federation, agent: FakeAgent, event: str, fields: dict[str, Any], kind: type, recorded: dict[str, Any]
) -> None:
    alice = await federation.server("home").person()
    before = len(federation.history.events)
    agent.tell(event, alice.device.key, **fields)
    (found,) = federation.history.events[before:]
    assert isinstance(found, kind)
    assert {name: getattr(found, name) for name in recorded} == recorded


async def test_an_event_of_nobodys_device_is_a_note(federation: Federation, agent: FakeAgent) -> None:
    await federation.server("home").person()
    agent.tell("delivered", "nobody's")
    assert isinstance(federation.history.events[-1], Note)


async def test_what_is_decrypted_is_compared_with_what_was_written(federation: Federation, agent: FakeAgent) -> None:
    alice = await federation.server("island").person(encryption="omemo")
    bob = await federation.server("home").person(encryption="omemo")
    message = await alice.send(bob, "hello")
    key, fields = bob.device.key, {"message": message.id, "encryption": "omemo", "from": alice.device.jid}
    # Of an encrypted message the delivery says nothing that a person could read.
    agent.tell("delivered", key, **fields, via="live", encrypted=True, stream="s")
    assert not message.settled
    agent.tell("decrypted", key, **fields, body="hello")
    agent.tell("decrypted", key, **fields, body="other")
    found = [one.matches for one in federation.history.events if isinstance(one, Decrypted)]
    assert found == [True, False]
    assert [one.encryption for one in message.deliveries] == ["omemo", "omemo"]
    agent.tell("not-decrypted", key, **fields, reason="tampered with")
    assert message.deliveries[-1].text is None


async def test_a_device_that_lost_its_stream_is_not_connected(federation: Federation, agent: FakeAgent) -> None:
    alice = await federation.server("home").person()
    agent.tell("disconnected", alice.device.key, stream="s")
    assert not alice.device.connected
    agent.tell("connected", alice.device.key, jid="alice@home.test/new", stream="t")
    assert (alice.device.connected, alice.device.jid, alice.device.stream) == (True, "alice@home.test/new", "t")
