"""Elements come with their last byte, in whatever pieces the stream does; and what is no XML is told after what was."""

from __future__ import annotations

import asyncio
import ssl
from xml.etree import ElementTree as ET

import pytest
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

from lab.clients.xmpp.client_stream import ClientStream
from lab.clients.xmpp.parser import PromptParser

#: A single tag: of one that comes in pieces from its first byte on, expat may put the rest off.
STANZA = "<message from='é@x.test/1' id='1'/>".encode()
PIECES = STANZA[:-4], STANZA[-4:]


@pytest.mark.parametrize("cut", range(1, len(STANZA)))
def test_a_stanza_in_two_pieces_is_there_with_the_second(cut: int) -> None:
    parser = PromptParser()
    parser.feed(b"<stream>")
    assert [kind for kind, _ in parser.read_events()] == ["start"]
    parser.feed(STANZA[:cut])
    assert list(parser.read_events()) == []
    parser.feed(STANZA[cut:])
    assert [(kind, element.tag) for kind, element in parser.read_events()] == [("start", "message"), ("end", "message")]


def test_what_came_before_an_error_is_told_first() -> None:
    parser = PromptParser()
    parser.feed(b"<stream><a/><b></a>")
    events = parser.read_events()
    assert [next(events)[1].tag for _ in range(4)] == ["stream", "a", "a", "b"]
    with pytest.raises(ET.ParseError):
        next(events)


async def test_a_persons_stream_takes_stanzas_in_pieces() -> None:
    stream = ClientStream("a@x.test/1", "", ssl.create_default_context(), pytest.fail)
    said = asyncio.get_running_loop().create_future()
    stream.register_handler(Callback("said", StanzaPath("message"), said.set_result))
    stream.init_parser()
    for piece in (b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", *PIECES):
        stream.data_received(piece)
    assert (await asyncio.wait_for(said, 30))["id"] == "1"
