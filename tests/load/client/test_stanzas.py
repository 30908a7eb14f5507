"""Marks come back as they were written, and templates are XML whatever stands in them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.client import stanzas

NUMBER = st.integers(0, 2**32 - 1)


@given(st.integers(0, 255), NUMBER, NUMBER, NUMBER, st.integers(0, 2**63), st.integers(0, 2**63))
def test_a_mark_comes_back(flags: int, sender: int, target: int, sequence: int, intended: int, actual: int) -> None:
    identity = stanzas.mark(flags, sender, target, sequence, intended, actual)
    assert len(identity) == stanzas.MARK_LENGTH
    assert stanzas.read_mark(identity.decode()) == (flags, sender, target, sequence, intended, actual)


@given(st.text(max_size=60))
def test_other_ids_are_no_marks(identity: str) -> None:
    fields = stanzas.read_mark(identity)
    assert fields is None or len(identity) == stanzas.MARK_LENGTH


@pytest.mark.parametrize("identity", ["z" * stanzas.MARK_LENGTH, " " * stanzas.MARK_LENGTH, "ä" * stanzas.MARK_LENGTH])
def test_ids_of_a_marks_length_are_not_believed(identity: str) -> None:
    assert stanzas.read_mark(identity) is None


def test_an_answer_says_what_it_answers() -> None:
    fields = stanzas.read_mark(stanzas.mark(stanzas.WARMUP, 1, 2, 3, 4, 5000).decode())
    answered = stanzas.read_mark(stanzas.as_answer(fields).decode())
    assert answered == (stanzas.WARMUP | stanzas.ANSWER, *fields[1:])


NASTY = "a'\"<&>@example"


@pytest.mark.parametrize(
    "stanza",
    [
        stanzas.header(NASTY) + b"</stream:stream>",
        stanzas.message_to(NASTY) + b"1" + stanzas.message_rest(5),
        stanzas.message_to(NASTY, "groupchat") + b"1" + stanzas.message_rest(0),
        stanzas.join(NASTY, NASTY),
        stanzas.accept_room(NASTY),
        stanzas.bind(NASTY),
        stanzas.resume(NASTY, 3),
        stanzas.answer(3),
        stanzas.presence(b"1"),
        stanzas.roster(b"1"),
        stanzas.archive(b"1", 20),
        stanzas.slot(b"1", NASTY, NASTY, 100),
        stanzas.refusal({"id": NASTY, "from": NASTY}),
        stanzas.refusal({}),
        stanzas.auth("PLAIN", b"\0a\0b"),
        stanzas.response(b"x"),
        stanzas.ENABLE,
        stanzas.REQUEST,
        stanzas.STARTTLS,
    ],
)
def test_templates_are_xml(stanza: bytes) -> None:
    root = ET.fromstring(stanza)
    assert root.tag
    if NASTY.encode() not in stanza and b"to=" in stanza:
        assert root.attrib["to"].startswith(NASTY)


def test_a_body_has_the_size_that_was_asked_for() -> None:
    message = ET.fromstring(stanzas.message_to("a@b") + b"1" + stanzas.message_rest(64))
    assert len(message.find("body").text) == 64
