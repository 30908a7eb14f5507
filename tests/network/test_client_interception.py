"""A client's connection whose stanzas are handed to rules, and what resumption is told (XEP-0198)."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import Any

import pytest

from lab.declarations.links import Conditions
from lab.declarations.stanza_rules import StanzaRule
from lab.errors import UserError
from lab.network.interception import InterceptedConnection, KeptCounts, TlsEnds
from lab.network.link_shaper import LinkShaper
from lab.network.operations import find_client_effects
from lab.network.relay import Relay
from lab.network.stanza_counts import StanzaCounts
from lab.network.stanza_rules import CountedRule
from lab.network.target import Target
from lab.plan.model import RelayPlan
from tests.network.labs import loopback

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
SM = b"xmlns='urn:xmpp:sm:3'"
HANGS = 30.0  # seconds


def test_what_was_under_way_is_sent_once_more_on_a_resumed_stream():
    counts = StanzaCounts()
    first, dropped, lost = (counts.receive() for _ in range(3))
    counts.write(first)
    counts.drop(dropped)
    counts.write(lost)
    assert counts.resume(1) == 2  # the one that was dropped is settled
    counts.write(counts.receive())
    assert counts.acknowledge(2) == 3


def test_a_held_stanza_is_sent_once_more_by_its_sender():
    counts = StanzaCounts()
    counts.receive()
    counts.write(counts.receive())
    assert counts.resume(1) == 0
    counts.write(counts.receive())
    assert counts.acknowledge(2) == 1


def test_a_stream_that_was_not_counted_goes_on_from_what_its_receiver_has():
    counts = StanzaCounts(7)
    assert counts.resume(7) == 7
    counts.write(counts.receive())
    assert counts.acknowledge(8) == 8


async def test_resumption_is_told_of_what_vanished_as_if_it_had_arrived():
    """The client has sent three, of which the second was dropped; the server has two."""
    received: list[bytes] = []
    answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write() -> None:
            while True:
                writer.write(await answers.get())

        writing = asyncio.create_task(write())
        with suppress(ConnectionResetError):
            while data := await reader.read(65536):
                received.append(data)
        writing.cancel()
        writer.close()

    base = loopback()
    to, at = (f"{base}.1.0", 5222), f"{base}.0.2"
    relay = Relay(RelayPlan("alice@a/x", "a", 0, to, Conditions()), at, Target(to), *(LinkShaper(Conditions()),) * 2)
    rule = CountedRule(StanzaRule(action="drop", stanza="message", nth=2), "drop-stanzas")
    kept, tls = KeptCounts(), TlsEnds(ssl.create_default_context(), ssl.create_default_context(), "a")
    acted: list[tuple[str, str]] = []

    def rules(direction: tuple[str, str]) -> list[CountedRule]:
        return [rule] if direction == ("alice@a/x", "a") else []

    relay.connect = lambda made: InterceptedConnection(
        made, tls, rules, lambda direction, stanza, decision: acted.append(direction), kept
    )
    server = await asyncio.start_server(serve, *to)
    await relay.listen()

    async def exchange(sends: bytes, arrives: bytes, answer: bytes, told: bytes) -> Any:
        reader, writer = await asyncio.open_connection(at, relay.listener.port)
        async with asyncio.timeout(HANGS):
            writer.write(HEADER + sends)
            while not b"".join(received).endswith(arrives):  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
            answers.put_nowait(HEADER + answer)
            assert (await reader.readuntil(told)).endswith(told)
        return writer

    try:
        three = b"".join(b"<message id='%d'/>" % number for number in (1, 2, 3))
        begun = await exchange(
            b"<enable %s resume='true'/>%s" % (SM, three), b"<message id='1'/><message id='3'/>",
            b"<enabled %s id='s1' resume='true'/><message id='4'/>" % SM, b"<message id='4'/>",
        )  # fmt: skip
        begun.transport.abort()
        resume, resumed = b"<resume %s h='1' previd='s1'/>" % SM, b"<resumed %s h='2' previd='s1'/>" % SM
        (await exchange(resume, resume, resumed, resumed.replace(b"h='2'", b"h='3'"))).close()
        assert acted == [("alice@a/x", "a")]
    finally:
        server.close()
        relay.close()


@pytest.mark.parametrize("action", ["kill", "flap", "conditions", "nothing"])
def test_a_fault_that_acts_on_no_stanzas_is_none_of_a_client(action):
    fields = {"conditions": {"latency": "1ms"}, "flap": {"down": "1s", "up": "1s"}}.get(action, {})
    with pytest.raises(UserError, match=action):
        find_client_effects(action, fields, "alice@a/x", "a")


@pytest.mark.parametrize(("direction", "found"), [("to", [("c", "a")]), ("from", [("a", "c")])])
def test_directions_are_to_and_from_the_clients_server(direction, found):
    effects = find_client_effects("drop-stanzas", {"direction": direction}, "c", "a")
    assert [(one.source, one.target) for one in effects] == found


def test_a_downgrade_leaves_a_clients_own_lists_alone():
    """It publishes them anew as long as it sees none, and would never be online."""
    sent, received = find_client_effects("downgrade", {"to": "plain"}, "alice@a/x", "a")
    assert {rule.element for rule in sent.rules} == {"body"}
    assert {rule.except_sender for rule in received.rules if rule.element in ("list", "devices")} == {"alice@a"}
    with pytest.raises(UserError, match="not on those that it sends: give a link"):
        find_client_effects("downgrade", {"to": "omemo", "direction": "to"}, "alice@a/x", "a")


async def test_messages_of_the_same_two_change_places_whoever_writes_in_between():
    base = loopback()
    to, at = (f"{base}.1.0", 5222), f"{base}.0.2"
    relay = Relay(RelayPlan("alice@a/x", "a", 0, to, Conditions()), at, Target(to), *(LinkShaper(Conditions()),) * 2)
    rule = CountedRule(StanzaRule(action="reorder", stanza="message"), "reorder")
    tls = TlsEnds(ssl.create_default_context(), ssl.create_default_context(), "a")
    made: list[InterceptedConnection] = []

    def connect(relay: Relay) -> InterceptedConnection:
        made.append(InterceptedConnection(relay, tls, lambda direction: [rule], lambda *_: None, KeptCounts()))
        return made[-1]

    relay.connect = connect
    streams: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(lambda reader, writer: streams.put_nowait((reader, writer)), *to)
    await relay.listen()
    try:
        async with asyncio.timeout(HANGS):
            _, client = await asyncio.open_connection(at, relay.listener.port)
            sent = [b"<message to='%s' id='%d'/>" % one for one in ((b"bob@b", 1), (b"carol@b", 2), (b"bob@b/y", 3))]
            client.write(HEADER + b"".join(sent))
            reader, writer = await streams.get()
            assert await reader.readuntil(b"id='1'/>") == HEADER + sent[2] + sent[0]
            made[0].release(made[0].near)  # what has no second goes on at the end
            assert await reader.readuntil(b"id='2'/>") == sent[1]
            client.close()
            writer.close()
    finally:
        server.close()
        relay.close()
