"""What a server of somebody else's does wrong with a stream is said in one sentence."""

import asyncio
from dataclasses import replace

import pytest

from lab.lifecycle import stream_probe
from lab.lifecycle.stream_probe import describe_fault
from lab.plan.build import build
from lab.plan.model import RuntimeFacts
from tests.runtime.helpers import pair

OPENED = b"<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' id='x'>"
FEATURES = b"<stream:features>%s</stream:features>"
TLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

ANSWERS = {
    b"": "accepts connections, but answers no stream header within 0.1 s",
    b"HTTP/1.1 400 Bad Request\r\n": "answers no XMPP: it sends b'HTTP/1.1 400 Bad Request",
    OPENED: "opens a stream, but sends no stream features within 0.1 s",
    OPENED + FEATURES % b"": "offers no STARTTLS",
    OPENED + b"<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>": (
        "answers with the stream error host-unknown"
    ),
    OPENED + FEATURES % TLS: "",
}


async def said_of(on_connection, port: int | None = None) -> str:
    async with await asyncio.start_server(on_connection, "127.0.0.1", 0) as listening:
        port = port or listening.sockets[0].getsockname()[1]
        server = build(pair(), RuntimeFacts("processes", "127.80.0.0/16", "/lab/{server}")).servers[0]
        return await describe_fault(replace(server, spec=replace(server.spec, address=f"127.0.0.1:{port}")))


@pytest.mark.parametrize("answer", ANSWERS)
async def test_each_answer_is_said(answer, monkeypatch):
    monkeypatch.setattr(stream_probe, "PATIENCE", 0.1)
    over = asyncio.Event()

    async def on_connection(reader, writer):
        await reader.readuntil(b">")
        writer.write(answer)
        await over.wait()
        writer.close()

    said = await said_of(on_connection)
    over.set()
    assert ANSWERS[answer] in said
    assert bool(ANSWERS[answer]) == bool(said)


async def test_a_server_that_hangs_up_or_is_not_there():
    async def on_connection(reader, writer):
        await reader.read(10_000)
        writer.close()

    assert "accepts connections, but closes each without an answer" in await said_of(on_connection)
    assert "accepts no connection (Connect call failed" in await said_of(on_connection, port=1)
