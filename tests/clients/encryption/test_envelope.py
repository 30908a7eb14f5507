"""Envelopes (XEP-0420): what they must say to be believed."""

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from lab.clients.encryption import envelope
from lab.clients.xmpp.stanzas import CLIENT, Incoming
from lab.errors import PeerError

ALICE, BOB, ROOM = "alice@a.test", "bob@b.test", "room@c.test"
SCE = "urn:xmpp:sce:1"
NOW = datetime.now(UTC)


def stamp(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def incoming(receiver=f"{BOB}/phone", room=None, delayed=None):
    xml = ET.Element(f"{{{CLIENT}}}message")
    if delayed:
        ET.SubElement(xml, "{urn:xmpp:delay}delay", {"stamp": delayed, "from": "b.test"})
    return Incoming("m1", f"{ALICE}/pc", receiver, "live", None, "urn:xmpp:omemo:2", room, xml)


def written(content="<content><body xmlns='jabber:client'>s3cret</body></content>", **affixes):
    """An envelope with these affix elements; None leaves one out."""
    parts = {
        "rpad": "<rpad>xx</rpad>", "time": f"<time stamp='{stamp(NOW)}'/>",
        "from": f"<from jid='{ALICE}'/>", "to": f"<to jid='{BOB}'/>", **affixes,
    }  # fmt: skip
    return f"<envelope xmlns='{SCE}'>{content}{''.join(part or '' for part in parts.values())}</envelope>".encode()


def body_of(plaintext, stanza=None):
    return envelope.read_text(envelope.read(plaintext, stanza or incoming(), ALICE))


def message(inside):
    return ET.fromstring(f"<message xmlns='{CLIENT}' id='m1'>{inside}</message>")


@pytest.mark.parametrize("text", ["hello", "", "<&>\n ä 🎉"])
@pytest.mark.parametrize("receiver", [BOB, f"{BOB}/phone", "BOB@b.test"])
def test_what_is_written_is_read(text, receiver):
    body = ET.Element(f"{{{CLIENT}}}body")
    body.text = text
    assert body_of(envelope.write([body], f"{ALICE}/pc", receiver)) == text


def test_what_is_for_the_receiver_is_inside_and_what_servers_act_on_is_not():
    inside = (
        "<body>hello</body>",
        "<request xmlns='urn:xmpp:receipts'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='m0'/>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<replace xmlns='urn:xmpp:message-correct:0' id='m0'/>",
        "<subject>a secret</subject>",
    )
    outside = (
        "<origin-id xmlns='urn:xmpp:sid:0' id='m1'/>",
        "<no-copy xmlns='urn:xmpp:hints'/>",
        "<private xmlns='urn:xmpp:carbons:2'/>",
        "<encryption xmlns='urn:xmpp:eme:0'/>",
    )
    content = envelope.find_content(message("".join([*outside, *inside])))
    assert len(content) == len(inside)
    again = envelope.read(envelope.write(content, ALICE, BOB), incoming(), ALICE)
    assert [ET.tostring(one) for one in again] == [ET.tostring(one) for one in content]


def test_elements_have_no_prefixes():
    """Names with a colon mean the same, but Converse 14 finds no content then, and shows nothing."""
    body, request = ET.Element(f"{{{CLIENT}}}body"), ET.Element("{urn:xmpp:receipts}request")
    text = envelope.write([body, request], ALICE, BOB).decode()
    assert text.startswith('<envelope xmlns="urn:xmpp:sce:1"><content><body '), text
    assert not re.findall(r"</?\w+:", text)


def test_what_the_profile_leaves_to_the_sender_may_be_missing():
    assert body_of(written(**{"from": None, "to": None, "time": None})) == "s3cret"
    assert body_of(written("<content/>")) is None


def test_a_stamp_at_the_end_of_time_proves_nothing():
    assert body_of(written(), incoming(delayed="9999-12-31T23:59:59Z")) == "s3cret"


def test_a_message_may_have_waited_for_days():
    old = written(time=f"<time stamp='{stamp(NOW - timedelta(days=9))}'/>")
    assert body_of(old) == "s3cret"
    assert body_of(old, incoming(delayed=stamp(NOW - timedelta(days=8)))) == "s3cret"


LATE = stamp(NOW + timedelta(hours=1))
REFUSED = {
    "another sender": (written(**{"from": "<from jid='mallory@a.test'/>"}), incoming(), "'from' of its envelope"),
    "no sender's JID": (written(**{"from": "<from/>"}), incoming(), "'from' of its envelope"),
    "a broken JID": (written(**{"from": "<from jid='@'/>"}), incoming(), "'from' of its envelope"),
    "another receiver": (written(), incoming(receiver="carol@b.test/x"), "'to' of its envelope"),
    "private, not in a room": (written(), incoming(room=ROOM), "'to' of its envelope"),
    "in a room, not private": (written(to=f"<to jid='{ROOM}'/>"), incoming(), "'to' of its envelope"),
    "in a room, to nobody": (written(to=None), incoming(room=ROOM), "does not say to"),
    "no padding": (written(rpad=None), incoming(), "no padding"),
    "of the future": (written(time=f"<time stamp='{LATE}'/>"), incoming(), "later than that of its stanza"),
    "after the server had it": (written(), incoming(delayed=stamp(NOW - timedelta(days=1))), "later than"),
    "no time": (written(time="<time stamp='soon'/>"), incoming(), "no date and time"),
    "no zone": (written(time="<time stamp='2026-01-01T00:00:00'/>"), incoming(), "no date and time"),
    "no content": (written(""), incoming(), "no content"),
    "no envelope": (b"<content xmlns='urn:xmpp:sce:1'>s3cret</content>", incoming(), "no envelope"),
    "another namespace": (written().replace(SCE.encode(), b"urn:xmpp:sce:0"), incoming(), "no envelope"),
    "no XML": (b"s3cret", incoming(), "no XML"),
    "no UTF-8": (b"\xff\xfes3cret", incoming(), "no XML"),
    "an unknown encoding": (b"<?xml version='1.0' encoding='s3cret'?><x/>", incoming(), "no envelope"),
    "another encoding": ("<!DOCTYPE x><x>s3cret</x>".encode("utf-16"), incoming(), "no XML"),
    "entities": (b"<!DOCTYPE x [<!ENTITY y 's3cret'>]><x>&y;</x>", incoming(), "document type"),
}


@pytest.mark.parametrize(("plaintext", "stanza", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_agree_with_its_stanza_is_refused_without_a_word_of_it(plaintext, stanza, reason):
    with pytest.raises(PeerError, match=reason) as refused:
        envelope.read(plaintext, stanza, ALICE)
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None
