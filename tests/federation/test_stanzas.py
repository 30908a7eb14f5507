"""Stanzas of scripted peers, and the events that they are."""

from xml.etree import ElementTree as ET

import pytest

from lab.federation.stanzas import (
    CLIENT,
    RawText,
    build_bounced_event,
    build_seen_event,
    build_sent_event,
    parse,
    parse_all,
)

MESSAGE = "<message from='x@a.test/r' to='y@b.test' id='m1'><body>it is canary-1</body></message>"


def test_a_stanza_is_read_and_answered_with_an_error() -> None:
    stanza = parse(MESSAGE, 2.0)
    assert (stanza.name, stanza.id, stanza.sender, stanza.receiver) == ("message", "m1", "x@a.test/r", "y@b.test")
    assert stanza.body == "it is canary-1"
    answer = parse(stanza.error("gone"), 3.0)
    assert (answer.type, answer.id, answer.sender, answer.receiver) == ("error", "m1", "y@b.test", "x@a.test/r")
    event = build_bounced_event(answer)
    assert (event.message, event.device, event.condition, event.by) == ("m1", "x@a.test/r", "gone", "y@b.test")
    assert event.error_type == "cancel"


@pytest.mark.parametrize("xml", ["<message>", "<a/><b/>", ""])
def test_what_is_not_one_stanza_is_refused(xml: str) -> None:
    with pytest.raises((ET.ParseError, ValueError)):
        parse(xml, 0.0)


def no_canary(_: str) -> None:
    return None


def test_messages_with_a_body_are_sent_and_nothing_else_is() -> None:
    event = build_sent_event(
        parse(MESSAGE, 2.0), "a.test", "s1", lambda text: "canary-1" if "canary-1" in text else None
    )
    assert event is not None
    assert (event.message, event.stream, event.canary, event.at) == ("m1", "s1", "canary-1", 2.0)
    assert (event.sender, event.claimed, event.room) == ("x@a.test/r", "", False)
    others = (
        "<message id='m1'/>",
        "<message type='error' id='m1'><body>x</body></message>",
        "<iq id='m1'><body/></iq>",
    )
    assert [build_sent_event(parse(xml, 2.0), "a.test", "s1", no_canary) for xml in others] == [None] * 3


@pytest.mark.parametrize(
    ("named", "sender", "claimed"),
    [
        ("x@a.test/r", "x@a.test/r", ""),
        ("room@conference.a.test/n", "room@conference.a.test/n", ""),
        ("x@b.test", "a.test", "x@b.test"),
        ("x@evila.test", "a.test", "x@evila.test"),
        ("", "a.test", ""),
    ],
)
def test_a_server_speaks_for_its_own_domain_only(named: str, sender: str, claimed: str) -> None:
    xml = f"<message from='{named}' to='y@c.test' id='m1'><body>x</body></message>"
    event = build_sent_event(parse(xml, 2.0), "a.test", "s1", no_canary)
    assert event is not None
    assert (event.sender, event.claimed) == (sender, claimed)


def test_what_is_said_in_a_room_is_a_message_to_a_room() -> None:
    xml = "<message from='x@a.test' to='hall@rooms.b.test' type='groupchat' id='m1'><body>x</body></message>"
    event = build_sent_event(parse(xml, 2.0), "a.test", "s1", no_canary)
    assert event is not None and event.room


@pytest.mark.parametrize(
    ("xml", "names"),
    [
        ("<message/><iq/>", ["message", "iq"]),
        (" <presence/>\n", ["presence"]),
        ("<message/>and", []),
        ("<message/><other/>", []),
        ("<message>", []),
        ("", []),
    ],
)
def test_a_text_consists_of_stanzas_or_is_none(xml: str, names: list[str]) -> None:
    assert [one.name for one in parse_all(xml, 0.0, CLIENT)] == names


def test_a_stanza_may_be_written_in_pieces() -> None:
    text = RawText(CLIENT)
    pieces = ["<mess", "age id='m1'><body>", "x</body>", "</message>", "<message id='m2'/>"]
    assert [[one.id for one in text.add(piece, 0.0)] for piece in pieces] == [[], [], [], ["m1"], ["m2"]]


@pytest.mark.parametrize("other", ["</message>", "and", "<other/>", "<message></iq>", ""])
def test_what_is_no_beginning_of_a_stanza_is_forgotten(other: str) -> None:
    text = RawText(CLIENT)
    assert text.add(other, 0.0) == []
    assert [one.id for one in text.add("<message id='m1'/>", 0.0)] == ["m1"]


def test_what_a_server_saw_says_whether_it_was_encrypted() -> None:
    plain = build_seen_event(parse(MESSAGE, 2.0), "b", "in", whole=True)
    assert (plain.body, plain.encryption, plain.stanza, plain.size) == (True, None, MESSAGE, len(MESSAGE))
    omemo = "<message id='m2'><encrypted xmlns='eu.siacs.conversations.axolotl'/></message>"
    hidden = build_seen_event(parse(omemo, 2.0), "b", "in", whole=False)
    assert (hidden.body, hidden.encryption, hidden.stanza) == (False, "eu.siacs.conversations.axolotl", None)
