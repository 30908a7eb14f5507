"""Stanzas of scripted peers, and the events that they are."""

from xml.etree import ElementTree as ET

import pytest

from lab.federation.stanzas import bounced_event, parse, seen_event, sent_event

MESSAGE = "<message from='x@a.test/r' to='y@b.test' id='m1'><body>it is canary-1</body></message>"


def test_a_stanza_is_read_and_answered_with_an_error() -> None:
    stanza = parse(MESSAGE, 2.0)
    assert (stanza.name, stanza.id, stanza.sender, stanza.receiver) == ("message", "m1", "x@a.test/r", "y@b.test")
    assert stanza.body == "it is canary-1"
    answer = parse(stanza.error("gone"), 3.0)
    assert (answer.type, answer.id, answer.sender, answer.receiver) == ("error", "m1", "y@b.test", "x@a.test/r")
    event = bounced_event(answer)
    assert (event.message, event.device, event.condition, event.by) == ("m1", "x@a.test/r", "gone", "y@b.test")
    assert event.error_type == "cancel"


@pytest.mark.parametrize("xml", ["<message>", "<a/><b/>", ""])
def test_what_is_not_one_stanza_is_refused(xml: str) -> None:
    with pytest.raises((ET.ParseError, ValueError)):
        parse(xml, 0.0)


def test_messages_with_a_body_and_an_id_are_sent_and_nothing_else_is() -> None:
    event = sent_event(parse(MESSAGE, 2.0), "s1", lambda text: "canary-1" if "canary-1" in text else None)
    assert event is not None
    assert (event.message, event.stream, event.canary, event.at) == ("m1", "s1", "canary-1", 2.0)
    others = (
        "<message id='m1'/>",
        "<message><body>x</body></message>",
        "<message type='error' id='m1'><body>x</body></message>",
        "<iq id='m1'><body/></iq>",
    )
    assert [sent_event(parse(xml, 2.0), "s1", lambda text: None) for xml in others] == [None] * 4


def test_what_a_server_saw_says_whether_it_was_encrypted() -> None:
    plain = seen_event(parse(MESSAGE, 2.0), "b", "in", whole=True)
    assert (plain.body, plain.encryption, plain.stanza, plain.size) == (True, None, MESSAGE, len(MESSAGE))
    omemo = "<message id='m2'><encrypted xmlns='eu.siacs.conversations.axolotl'/></message>"
    hidden = seen_event(parse(omemo, 2.0), "b", "in", whole=False)
    assert (hidden.body, hidden.encryption, hidden.stanza) == (False, "eu.siacs.conversations.axolotl", None)
