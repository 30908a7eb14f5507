"""The lines of a message's way: each hop, in the order of time, with what was read there and nothing else."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from lab.history.events import Bounced, Decrypted, Delivered, DnsAnswered, Event, Sent, ServerSaw, ServerStreamOpened
from lab.runner.message_trace import MessageTrace, describe_reading

ALICE, BOB = "alice@a.test/xmpplab", "bob@b.test/xmpplab"
BEGAN, WRITTEN = 50.0, 100.0
OMEMO = "eu.siacs.conversations.axolotl"
BODY = "<message><body>hidden?</body></message>"
HOPS = (
    ("a", "in", "c2s", ALICE),
    ("a", "out", "s2s", "b.test"),
    ("b", "in", "s2s", "a.test"),
    ("b", "out", "c2s", BOB),
)


def trace(shown: list[str], text: str = "hidden?", other: str = "b.test") -> MessageTrace:
    """What follows a message from alice@a.test to bob at `other`; of the federation only the clock is asked."""
    federation: Any = SimpleNamespace(context=None, history=SimpleNamespace(now=lambda: BEGAN))
    servers = [SimpleNamespace(name=name, domain=domain) for name, domain in (("a", "a.test"), ("b", other))]
    people: Any = [
        SimpleNamespace(jid=f"{user}@{one.domain}", server=one)
        for user, one in zip(("alice", "bob"), servers, strict=True)
    ]
    return MessageTrace(federation, people, text, lambda line: shown.append(str(line)))


def saw(at: float, place: int, **changed: Any) -> ServerSaw:
    server, direction, stream, peer = HOPS[place]
    fields = {
        "name": "message", "type": "chat", "id": "m1", "sender": ALICE, "receiver": "bob@b.test", "size": 100 + place,
        "encryption": None, "body": True, "stanza": BODY, **changed,
    }  # fmt: skip
    return ServerSaw(at=at, server=server, direction=direction, stream=stream, peer=peer, **fields)


def sent(**changed: Any) -> Sent:
    fields: dict[str, Any] = {
        "message": "m1", "sender": ALICE, "receiver": "bob@b.test", "stream": "1", "encryption": "plain",
        "expected": (BOB,), **changed,
    }  # fmt: skip
    return Sent(at=WRITTEN, **fields)


def show(*events: Event) -> list[str]:
    shown: list[str] = []
    one = trace(shown)
    for event in events:
        one.add(event)
    one.flush()
    return shown


def test_every_hop_is_a_line_in_the_order_of_time_with_its_milliseconds() -> None:
    hops = [saw(WRITTEN + 0.001 * (place + 1), place) for place in range(4)]
    delivered = Delivered(at=WRITTEN + 0.0055, device=BOB, message="m1", sender=ALICE, stream="2", via="live")
    reading = "who, to whom, 10{} B, the text 'hidden?'"
    assert show(sent(), delivered, *reversed(hops)) == [
        f"    +0.0 ms  {ALICE} writes to bob@b.test",
        f"    +1.0 ms  a receives from {ALICE}: {reading.format(0)}",
        f"    +2.0 ms  a passes on to b.test: {reading.format(1)}",
        f"    +3.0 ms  b receives from a.test: {reading.format(2)}",
        f"    +4.0 ms  b passes on to {BOB}: {reading.format(3)}",
        f"    +5.5 ms  {BOB} receives it",
    ]


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({}, "the text 'hidden?'"),
        ({"encryption": OMEMO, "body": False, "stanza": "<message><encrypted/></message>"}, "not the text [omemo]"),
        ({"encryption": OMEMO, "stanza": "<message><body>I sent you …</body></message>"}, "not the text [omemo]"),
        ({"encryption": OMEMO}, "the text 'hidden?' beside [omemo]"),
        ({"stanza": None}, " (a `meta` feed does not tell the text)"),
        ({"body": False, "stanza": "<message><active/></message>"}, ", without a text <active>"),
    ],
)
def test_what_a_server_could_read_is_what_its_stanza_has(changed: dict[str, Any], shown: str) -> None:
    assert describe_reading(replace(saw(1, 0), **changed), "hidden?").partition(" B")[2].endswith(shown)


def test_what_others_write_and_what_had_waited_is_no_hop() -> None:
    others: list[Event] = [
        saw(101, 1, sender="carol@a.test/z"), saw(101, 1, receiver="carol@b.test"), saw(101, 0, name="presence"),
        saw(101, 0, name="iq"), saw(101, 3, sender="alice@a.test/other"), saw(99, 3),
        Delivered(at=101, device=BOB, message="m0", sender=ALICE, stream="2", via="offline"),
        Delivered(at=101, device=ALICE, message="m0", sender=ALICE, stream="1", via="carbon"),
        opened(101, "a", "c2s", "in", "alice@a.test/other"),
    ]  # fmt: skip
    assert show(sent(), *others) == [f"    +0.0 ms  {ALICE} writes to bob@b.test"]


def opened(at: float, server: str, stream: str, direction: str, peer: str) -> ServerStreamOpened:
    return ServerStreamOpened(
        at=at, server=server, stream=stream, direction=direction, peer=peer, id="", tls="TLSv1.3", authentication="X"
    )


def test_streams_and_names_are_past_or_present_and_of_these_servers_only() -> None:
    record = (("SRV", "0 0 20000 127.0.0.2."),)
    asked = DnsAnswered(at=40, asker="a", name="_xmpp-server._tcp.b.test", type="SRV", rcode="NOERROR", records=record)
    assert show(
        asked,
        replace(asked, at=41, name="_xmpp-server._tcp.bb.test"),  # not below b.test
        replace(asked, at=42, asker="c"),
        replace(asked, at=60, name="conference.b.test", type="A", rcode="NXDOMAIN", records=()),
        opened(43, "a", "s2s", "out", "b.test"), opened(61, "b", "s2s", "in", "a.test"),
        opened(62, "a", "s2s", "out", "c.test"), opened(63, "a", "c2s", "in", ALICE),
        opened(64, "a", "c2s", "in", "carol@a.test/z"),
    ) == [
        " " * 13 + "a had asked for SRV _xmpp-server._tcp.b.test: SRV 0 0 20000 127.0.0.2.",
        " " * 13 + "a had opened a stream to b.test: TLSv1.3, authenticated by X",
        " " * 13 + "a asks for A conference.b.test: NXDOMAIN",
        " " * 13 + "b accepts a stream of a.test: TLSv1.3, authenticated by X",
        " " * 13 + f"{ALICE} logs in at a: TLSv1.3, X",
    ]  # fmt: skip


def test_what_devices_make_of_it_is_shown() -> None:
    decrypted = Decrypted(at=101, device=BOB, message="m1", encryption="omemo", trust="blind")
    bounced = Bounced(at=102, device=ALICE, message="m1", by="a.test", condition="remote-server-not-found")
    assert [line[13:] for line in show(sent(), decrypted, bounced)[1:]] == [
        f"{BOB} decrypts it (omemo, trust in the key: blind)",
        f"{ALICE} is told by a.test: remote-server-not-found",
    ]


def test_an_error_is_on_its_way_back() -> None:
    error = saw(101, 3, type="error", sender="bob@b.test", receiver=ALICE, body=False)
    error = replace(
        error,
        server="a",
        peer=ALICE,
        stanza="<message><error><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
    )
    assert show(sent(), error)[1:] == [f" +1000.0 ms  a passes on to {ALICE}: an error, gone"]


def test_a_stanza_is_on_the_way_until_the_other_server_has_reported_it_whichever_is_read_first() -> None:
    one = trace([])
    one.add(sent())
    one.add(saw(101, 1))
    assert one.on_the_way
    one.add(saw(102, 2, id="another"))
    assert one.on_the_way
    one.add(saw(102, 2))
    assert not one.on_the_way
    one.add(saw(103, 1, id="another"))
    assert not one.on_the_way


def test_names_in_the_dns_are_ascii() -> None:
    shown: list[str] = []
    one = trace(shown, other="münchen.test")
    one.add(DnsAnswered(at=60, asker="a", name="xn--mnchen-3ya.test", type="A", rcode="NXDOMAIN"))
    one.flush()
    assert shown == [" " * 13 + "a asks for A xn--mnchen-3ya.test: NXDOMAIN"]
