"""A stream is cut into parts without a byte changed; edits change one element of a stanza and nothing else."""

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.network.stanza_stream import PartKind, RelayedStanza, StreamSplitter

HEADER = b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
STANZAS = (
    b"<message from='a@a' to='b@b'><body>1 &gt; 0 <![CDATA[</message>]]></body></message>",
    b"<message note='a > b'><message/></message>",
    b"<r xmlns='urn:xmpp:sm:3'/>",
    b"<iq\n type='get' ><x xmlns='n'><x><x/></x></x></iq >",
    "<presence><status>größer</status></presence>".encode(),
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(ends)]


@given(st.lists(st.sampled_from(STANZAS)), st.sampled_from([b"", b" ", b"\n\n"]), st.lists(st.integers(0, 10_000)))
def test_whatever_the_pieces_the_parts_are_the_same_and_no_byte_is_changed(stanzas, space, places):
    data = HEADER + space.join([b"", *stanzas, b""]) + b"</stream:stream>"
    splitter = StreamSplitter()
    parts = [part for piece in cut(data, places) for part in splitter.feed(piece)]
    assert b"".join(part.raw for part in parts) == data
    assert [part.raw.strip() for part in parts if part.kind is PartKind.ELEMENT] == stanzas
    assert (parts[0].kind, splitter.header, parts[-1].kind) == (PartKind.HEADER, HEADER, PartKind.FOOTER)


def test_an_element_tells_its_name_and_its_own_namespace():
    splitter = StreamSplitter()
    parts = splitter.feed(HEADER + b"<db:result/><r xmlns='urn:xmpp:sm:3'/>")[1:]
    assert [(part.name, part.default) for part in parts] == [("db:result", ""), ("r", "urn:xmpp:sm:3")]


def test_what_is_no_xml_passes_as_it_is():
    splitter = StreamSplitter()
    parts = splitter.feed(HEADER + b"<iq/><iq></message>") + splitter.feed(b"<iq/>")
    assert [(part.kind, part.raw) for part in parts[1:]] == [
        (PartKind.ELEMENT, b"<iq/>"),
        (PartKind.REST, b"<iq></message>"),
        (PartKind.REST, b"<iq/>"),
    ]


@pytest.mark.parametrize(
    ("stanza", "edited"),
    [
        (b"<message><body>old</body></message>", b"<message><body>&lt;new&gt;</body></message>"),
        (b"<message><body  lang='a > b' /></message>", b"<message><body  lang='a > b'>&lt;new&gt;</body></message>"),
        (b"<message><x:body xmlns:x='y'>o</x:body></message>",
         b"<message><x:body xmlns:x='y'>&lt;new&gt;</x:body></message>"),
        (b"<message><body><b>o</b></body> </message>", b"<message><body>&lt;new&gt;</body> </message>"),
    ],
)  # fmt: skip
def test_a_text_is_replaced_and_nothing_else(stanza, edited):
    one = RelayedStanza(HEADER, stanza)
    assert one.replace_text(one.find("body")[0], "<new>").raw == edited


def test_an_element_is_found_by_its_namespace_also_where_the_stream_declares_it():
    stanza = RelayedStanza(HEADER, b"<message><body/><body xmlns='other'/></message>")
    assert [one.begin for one in stanza.find("body", "jabber:server")] == [9]
    assert [one.begin for one in stanza.find("body", "other")] == [16]
    assert len(stanza.find("body")) == 2


NAMES = st.sampled_from(["x", "y"])
TREES = st.recursive(
    st.tuples(NAMES, st.just(())), lambda inner: st.tuples(NAMES, st.lists(inner, max_size=3)), max_leaves=10
)


def written(tree, short: bool) -> str:
    name, inner = tree
    content = "".join(written(one, not short) for one in inner)
    return f"<{name}/>" if short and not content else f"<{name}>{content}</{name}>"


@given(TREES, st.booleans())
def test_places_of_elements_are_those_of_another_parser(tree, short):
    raw = f"<message>{written(tree, short)}</message>".encode()
    stanza = RelayedStanza(HEADER, raw)
    expected = [element.tag for element in ET.fromstring(raw).iter()]
    assert [one.name for one in stanza.elements] == expected
    for one in stanza.elements:
        assert ET.fromstring(raw[one.begin : one.end]).tag == one.name
