"""Streams are cut into stanzas, however the network cut them before."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import PeerError
from lab.load.client import xml_stream as parsing
from lab.load.client.xml_stream import DEEPEST, Element, StreamParser

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

    parser = StreamParser(lambda identity: seen.append(f"message {identity}"), element, lambda: seen.append("end"))
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
    parser = StreamParser(lambda _: None, lambda _: pytest.fail("the old handler"), lambda: None)
    parser.feed(OPEN)
    parser.set_handlers(lambda _: None, seen.append)
    parser.feed(b"<message><body>no</body></message><iq><query>te<b/>xt</query></iq>between<r/>")
    assert [(one.name, "".join(e.text for e in one.walk())) for one in seen] == [("iq", "text"), ("r", "")]


@pytest.mark.parametrize(
    "bad",
    [
        b"<a></b>",
        b"<a b=1/>",
        b"\xff\xfe<",
        b"<!-- -->",
        b"<?x y?>",
        b"<!DOCTYPE x [<!ENTITY a 'a'>]>",
        b"<a>" * (DEEPEST + 2),
    ],
    ids=["crossed", "unquoted", "bytes", "comment", "instruction", "doctype", "deep"],
)
def test_what_is_no_stream_is_a_peer_error(bad: bytes) -> None:
    with pytest.raises(PeerError):
        parsed(bad if b"DOCTYPE" in bad else OPEN + bad)


def test_a_closed_parser_hands_nothing_on() -> None:
    seen: list[object] = []
    parser = StreamParser(lambda _: parser.close(), seen.append, lambda: None)
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


PLAIN_FORMS = (
    b"<message from='a@b/c' to='d@e' type='chat' id='%d'><body>text</body></message>",
    b"<message from=\"a@b/c\" id=\"%d\" xml:lang='en'><stanza-id by='x' id='inner'/><body>a > b</body></message>",
    b"<message id='%d'><body>a &lt; b</body></message>",
    b"<message id='%d' type='error'><error type='cancel'><gone/></error></message>",
    b"<message from='room/nick id=\"7\"' id='%d'></message>",
    b"<message to='a>b' id='%d'><x><message id='inner'/></x></message>",
    b"<message id='%d'><body>\xc3\xa4<![CDATA[</message>]]></body></message>",
    b"<message id='%d'/>",
    b"<presence id='%d'/>",
    b"<iq id='%d'><query>text</query></iq>",
    b"<r xmlns='urn:xmpp:sm:3'/> ",
)


def ids(pieces: list[bytes]) -> list[tuple[str, str | None]]:
    seen: list[tuple[str, str | None]] = []
    parser = StreamParser(
        lambda identity: seen.append(("message", identity)),
        lambda one: seen.append((f"{one.name} {one.attributes.get('type')}", one.attributes.get("id"))),
        lambda: seen.append(("end", None)),
    )
    try:
        for piece in pieces:
            parser.feed(memoryview(piece))
    except PeerError:
        seen.append(("not XML", None))
    return seen


@given(st.lists(st.sampled_from(PLAIN_FORMS), max_size=12), st.lists(st.integers(0, 1200), max_size=6), st.booleans())
def test_the_pattern_sees_what_expat_sees(forms: list[bytes], cuts: list[int], whole: bool) -> None:
    """With and without the pattern, whatever the pieces: the same stanzas in the same order."""
    stanzas = [form % number if b"%d" in form else form for number, form in enumerate(forms)]
    if whole:  # pieces as a network usually has them: stanza by stanza
        pieces = [OPEN + b"<presence></presence>", *stanzas]
    else:
        data = OPEN + b"<presence></presence>" + b"".join(stanzas)
        edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        pieces = [data[a:b] for a, b in pairwise(edges)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "_PLAIN", re.compile(b"(?!)"))
        expected = ids(pieces)
    assert ids(pieces) == expected
    assert len(expected) == 1 + len(forms)


def test_the_pattern_is_used_for_what_servers_write() -> None:
    """Else the test above would compare expat with itself."""
    for form in (PLAIN_FORMS[0], PLAIN_FORMS[1], PLAIN_FORMS[4]):
        assert parsing._PLAIN.fullmatch(form % 1), form
    for form in (PLAIN_FORMS[2], PLAIN_FORMS[3], *PLAIN_FORMS[5:]):
        assert not parsing._PLAIN.match(form % 1 if b"%d" in form else form), form


@pytest.mark.parametrize("head", [b"<message to='a", b"<iq><x to='</iq>", b"<message to='<r xmlns='", b"<!-- "])
def test_the_pattern_is_not_asked_inside_of_anything(head: bytes) -> None:
    """A piece that only looks as if it ended a stanza leaves the next one to expat."""
    pieces = [OPEN + head + b"</message>", PLAIN_FORMS[0] % 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "_PLAIN", re.compile(b"(?!)"))
        expected = ids(pieces)
    if head != b"<!-- ":  # which RFC 6120 section 11.1 forbids
        assert ids(pieces) == expected
