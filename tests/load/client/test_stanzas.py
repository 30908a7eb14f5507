"""Templates are XML whatever their values are."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from lab.load.client import stanzas

NASTY = "a'\"<&>@example"


@pytest.mark.parametrize(
    "stanza",
    [
        stanzas.stream_header(NASTY) + b"</stream:stream>",
        stanzas.message_head(NASTY) + b"1" + stanzas.message_tail(5),
        stanzas.message_head(NASTY, "groupchat") + b"1" + stanzas.message_tail(0),
        stanzas.room_join(NASTY, NASTY),
        stanzas.room_settings_accepted(NASTY),
        stanzas.bind_request(NASTY),
        stanzas.resume_request(NASTY, 3),
        stanzas.acknowledgement(3),
        stanzas.presence(b"1"),
        stanzas.roster_request(b"1"),
        stanzas.archive_request(b"1", 20),
        stanzas.upload_slot_request(b"1", NASTY, NASTY, 100),
        stanzas.error_reply({"id": NASTY, "from": NASTY}),
        stanzas.error_reply({}),
        stanzas.sasl_auth("PLAIN", b"\0a\0b"),
        stanzas.sasl_response(b"x"),
        stanzas.ENABLE,
        stanzas.ACK_REQUEST,
        stanzas.STARTTLS,
    ],
)
def test_templates_are_xml(stanza: bytes) -> None:
    root = ET.fromstring(stanza)
    assert root.tag
    if NASTY.encode() not in stanza and b"to=" in stanza:
        assert root.attrib["to"].startswith(NASTY)


def test_a_body_has_the_size_that_was_asked_for() -> None:
    message = ET.fromstring(stanzas.message_head("a@b") + b"1" + stanzas.message_tail(64))
    assert len(message.find("body").text) == 64
