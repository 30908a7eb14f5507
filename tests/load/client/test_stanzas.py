"""Templates are XML whatever their values are."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from lab.load.client import stanzas

NASTY = "a'\"<&>@example"


@pytest.mark.parametrize(
    "stanza",
    [
        stanzas.build_stream_header(NASTY) + b"</stream:stream>",
        stanzas.build_message_head(NASTY) + b"1" + stanzas.build_message_tail(5),
        stanzas.build_message_head(NASTY, "groupchat") + b"1" + stanzas.build_message_tail(0),
        stanzas.build_room_join(NASTY, NASTY),
        stanzas.build_room_settings(NASTY),
        stanzas.build_bind_request(NASTY),
        stanzas.build_resume_request(NASTY, 3),
        stanzas.build_acknowledgement(3),
        stanzas.build_presence(b"1"),
        stanzas.build_roster_request(b"1"),
        stanzas.build_archive_request(b"1", 20),
        stanzas.build_upload_slot_request(b"1", NASTY, NASTY, 100),
        stanzas.build_error_reply({"id": NASTY, "from": NASTY}),
        stanzas.build_error_reply({}),
        stanzas.build_sasl_auth("PLAIN", b"\0a\0b"),
        stanzas.build_sasl_response(b"x"),
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
    message = ET.fromstring(stanzas.build_message_head("a@b") + b"1" + stanzas.build_message_tail(64))
    assert len(message.find("body").text) == 64
