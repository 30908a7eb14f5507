"""Streams are cut into stanzas, however the network cut them before."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import PeerError
from lab.load.parser import DEEPEST, Element, Parser

OPEN = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
STANZAS = (
    b"<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
    b"</stream:features><message id='1' type='chat'><body>a &lt; \xc3\xa4</body><x><message id='inner'/></x></message>"
    b"<presence from='a@b'/> <message id='2' type='error'><error><gone/></error></message><message id='3'/>"
)
EXPECTED = ["features PLAIN", "message 1", "presence ", "error 2 gone", "message 3"]


def parsed(*pieces: bytes) -> list[str]:
    seen: list[str] = []

    def element(one: Element) -> None:
        if one.name == "message":
            seen.append(f"error {one.attributes['id']} {one.find('error').children[0].name}")
        else:
            seen.append(f"{one.name.rpartition(':')[2]} {''.join(e.text for e in one.walk())}")

    parser = Parser(lambda attributes: seen.append(f"message {attributes['id']}"), element, lambda: seen.append("end"))
    for piece in pieces:
        parser.feed(memoryview(piece))
    return seen


def test_every_split_gives_the_same_stanzas() -> None:
    whole = OPEN + STANZAS
    for at in range(len(whole)):
        assert parsed(whole[:at], whole[at:]) == EXPECTED, whole[:at]
    assert parsed(*(whole[at : at + 1] for at in range(len(whole)))) == EXPECTED


def test_a_stanza_is_handed_on_as_soon_as_it_is_complete() -> None:
    """Expat 2.6 holds a tag that came in two parts back, unless it is told not to."""
    head, tail = b"<message id='1' type='ch", b"at'/>"
    assert parsed(OPEN, head, tail) == ["message 1"]


def test_the_end_of_the_stream_is_told() -> None:
    assert parsed(OPEN, b"<message id='1'/></stream:stream>") == ["message 1", "end"]


def test_texts_are_kept_of_all_but_messages() -> None:
    seen: list[Element] = []
    parser = Parser(lambda _: None, lambda _: pytest.fail("the old handler"), lambda: None)
    parser.feed(OPEN)
    parser.redirect(lambda _: None, seen.append)
    parser.feed(b"<message><body>no</body></message><iq><query>te<b/>xt</query></iq>between<r/>")
    assert [(one.name, "".join(e.text for e in one.walk())) for one in seen] == [("iq", "text"), ("r", "")]


@pytest.mark.parametrize(
    "bad",
    [b"<a></b>", b"<a b=1/>", b"\xff\xfe<", b"<!DOCTYPE x [<!ENTITY a 'a'>]>", b"<a>" * (DEEPEST + 2)],
    ids=["crossed", "unquoted", "bytes", "doctype", "deep"],
)
def test_what_is_no_stream_is_a_peer_error(bad: bytes) -> None:
    with pytest.raises(PeerError):
        parsed(bad if b"DOCTYPE" in bad else OPEN + bad)


def test_a_closed_parser_hands_nothing_on() -> None:
    seen: list[object] = []
    parser = Parser(lambda _: parser.close(), seen.append, lambda: None)
    parser.feed(OPEN + b"<message/><presence/><message/>")
    assert seen == []


@given(st.binary(max_size=200))
def test_any_bytes_are_stanzas_or_a_peer_error(data: bytes) -> None:
    try:
        parsed(OPEN + STANZAS + data)
    except PeerError as error:
        assert "not XML" in str(error)


@given(st.lists(st.integers(0, len(OPEN + STANZAS)), max_size=8))
def test_any_pieces_are_the_same_stanzas(cuts: list[int]) -> None:
    whole, edges = OPEN + STANZAS, [0, *sorted(cuts), len(OPEN + STANZAS)]
    assert parsed(*(whole[a:b] for a, b in pairwise(edges))) == EXPECTED
