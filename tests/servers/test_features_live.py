"""Features, raw options, limits and names of certificates have an effect on real servers, of every version.

One lab of all versions; what a client meets is asked on plain connections.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lab.faults import reset_streams
from lab.federation import Federation
from lab.history.recorder import Recorder
from lab.lifecycle.lab import Lab
from lab.testing.session_labs import SessionLabs
from tests.runtimes import PROCESSES, SLOW_CONTAINERS

pytestmark = [
    pytest.mark.live,
    pytest.mark.parametrize("runtime", [PROCESSES, SLOW_CONTAINERS], indirect=True, scope="session"),
]

TOPOLOGY = """
name: features
defaults:
  features: [websocket, component, anonymous, -mam]
  users: 1
  max_stanza_size: 20KB
  options:
    prosody: {modules_enabled: [motd], motd_text: 'say "hi" \\ end'}
    ejabberd: {loglevel: debug, modules: {mod_ping: {send_pings: true}}}
servers:
  fresh: {software: prosody@13.0, features: [pubsub]}
  settled: {software: prosody@0.12, features: [pubsub]}
  modern: {software: ejabberd@24.12, certificate_names: [modern.test, "*.modern.test"]}
  vintage: {software: ejabberd@23.01}
"""
SERVERS = ["fresh", "settled", "modern", "vintage"]
PATIENCE = 30.0


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab(runtime: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    file = tmp_path_factory.mktemp("features") / "features.yaml"
    file.write_text(TOPOLOGY)
    labs = SessionLabs(runtime)
    yield await labs.get(str(file))
    await labs.close()


async def read_until(reader: asyncio.StreamReader, pattern: str) -> str:
    """What was received when it matches; fails with that where the connection ends before."""
    text = ""
    async with asyncio.timeout(PATIENCE):
        while not re.search(pattern, text):
            data = await reader.read(65536)
            text += data.decode()
            assert data or re.search(pattern, text), f"ended without {pattern!r}: {text}"
    return text


async def connect(
    lab: Lab, server: str, port: int, name: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection, with TLS for the host `name` if one is given."""
    context = ssl.create_default_context(cadata=lab.authority) if name else None
    address = lab.plan.server(server).address
    return await asyncio.open_connection(address, port, ssl=context, server_hostname=name or None)


async def stream(lab: Lab, server: str, host: str) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    """The features of a client's stream to a host, over direct TLS."""
    reader, writer = await connect(lab, server, lab.plan.server(server).spec.manifest.ports.client_tls, host)
    writer.write(
        f"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'"
        f" to='{host}'>".encode()
    )
    return await read_until(reader, "</stream:features>"), reader, writer


@pytest.mark.parametrize("server", SERVERS)
async def test_anonymous_logins_are_offered(server: str, lab: Lab) -> None:
    spec = lab.plan.server(server).spec
    host = f"anonymous.{spec.domain}" if spec.software == "prosody" else spec.domain
    features, _, writer = await stream(lab, server, host)
    writer.close()
    assert "<mechanism>ANONYMOUS</mechanism>" in features


@pytest.mark.parametrize("server", ["modern", "vintage"])
async def test_a_stanza_above_the_limit_ends_the_stream(server: str, lab: Lab) -> None:
    """`max_stanza_size: 20KB`: RFC 6120 section 13.12, policy-violation (section 4.9.3.14).

    Before a login Prosody takes 10,000 bytes whatever is set; the scenario stanza_too_big shows its limit.
    """
    for size, ends in ((18_000, False), (25_000, True)):
        _, reader, writer = await stream(lab, server, f"{server}.test")
        writer.write(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='NONE'>{'A' * size}</auth>".encode())
        answer = await read_until(reader, "</failure>|</stream:error>|</stream:stream>")
        writer.close()
        assert ("policy-violation" in answer) == ends, (size, answer)


FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"


def frame(text: str) -> bytes:
    """A client's text frame of up to 64 KB, with a mask of zeros (RFC 6455 section 5.2)."""
    data = text.encode()
    return bytes([0x81, 0x80 | 126]) + len(data).to_bytes(2) + bytes(4) + data


async def read_frame(reader: asyncio.StreamReader) -> str:
    """A server's text frame."""
    async with asyncio.timeout(PATIENCE):
        kind, size = await reader.readexactly(2)
        assert kind == 0x81, f"no text in one frame: {kind:x}"
        size = int.from_bytes(await reader.readexactly(2)) if size == 126 else size
        return (await reader.readexactly(size)).decode()


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("good", [True, False])
async def test_users_log_in_over_a_websocket(good: bool, server: str, lab: Lab) -> None:
    """RFC 7395 section 3: each frame is an element of its own, and so are the ends of a stream."""
    host = f"{server}.test"
    reader, writer = await connect(lab, server, lab.plan.server(server).spec.manifest.ports.https, host)
    writer.write(
        f"GET /xmpp-websocket HTTP/1.1\r\nHost: {host}:5281\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: xmpp\r\n\r\n".encode()
    )
    async with asyncio.timeout(PATIENCE):
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert answer.startswith("HTTP/1.1 101 "), answer
    assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer  # RFC 6455 section 1.3
    writer.write(frame(f"<open xmlns='{FRAMING}' to='{host}' version='1.0'/>"))
    assert re.match(f"<open [^>]*xmlns=['\"]{FRAMING}", opened := await read_frame(reader)), opened
    assert "<mechanism>PLAIN</mechanism>" in (features := await read_frame(reader)), features
    word = base64.b64encode(f"\0user1\0{lab.password if good else 'another'}".encode()).decode()
    writer.write(frame(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{word}</auth>"))
    result = await read_frame(reader)
    assert result.startswith("<success" if good else "<failure"), result
    writer.close()


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("name", ["host-meta", "host-meta.json"])
async def test_host_meta_names_the_websocket(name: str, server: str, lab: Lab) -> None:
    """XEP-0156 section 4, on the HTTPS port; Prosody 0.12 has none."""
    host = f"{server}.test"
    reader, writer = await connect(lab, server, lab.plan.server(server).spec.manifest.ports.https, host)
    writer.write(f"GET /.well-known/{name} HTTP/1.1\r\nHost: {host}:5281\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        answer = (await reader.read()).decode()
    writer.close()
    if server == "settled":
        assert answer.startswith("HTTP/1.1 404 "), answer
        return
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 ") and "access-control-allow-origin: *" in head.lower(), answer
    assert f"wss://{host}:5281/xmpp-websocket" in body.replace("\\/", "/"), answer
    assert "urn:xmpp:alt-connections:websocket" in body and "xbosh" not in body, answer


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("good", [True, False])
async def test_components_connect_with_the_labs_password(good: bool, server: str, lab: Lab) -> None:
    """XEP-0114 section 3."""
    host = f"component.{server}.test"
    reader, writer = await connect(lab, server, lab.plan.server(server).spec.manifest.ports.component)
    writer.write(
        f"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'"
        f" to='{host}'>".encode()
    )
    header = await read_until(reader, "<stream:stream[^>]*>")
    found = re.search(r"\bid=['\"]([^'\"]+)", header)
    assert found, header
    secret = lab.password if good else "another"
    key = hashlib.sha1(f"{found[1]}{secret}".encode()).hexdigest()
    writer.write(f"<handshake>{key}</handshake>".encode())
    answer = await read_until(reader, "<handshake ?/>|not-authorized|</handshake>")
    writer.close()
    assert ("handshake" in answer) == good, answer


async def test_names_of_a_certificate(lab: Lab) -> None:
    _, writer = await connect(lab, "modern", 5223, "modern.test")
    certificate = writer.get_extra_info("peercert")
    writer.close()
    assert [value for kind, value in certificate["subjectAltName"] if kind == "DNS"] == ["modern.test", "*.modern.test"]


async def test_what_people_find_and_what_options_do(lab: Lab, tmp_path: Path) -> None:
    with Recorder(tmp_path / "history.jsonl") as history:
        async with Federation(lab, history) as federation:
            for name in SERVERS:
                person = await federation.server(name).person()
                found = await _info(person, person.jid)
                assert "urn:xmpp:mam:2" not in found and "jabber.org/protocol/pubsub" in found, name
                assert "<identity" in (service := await _info(person, f"pubsub.{name}.test")), name
                assert 'category="pubsub"' in service, name
                log = (lab.layout.server(name) / "server.log").read_text()
                if federation.server(name).spec.software == "prosody":
                    assert (await person.device.received("say ")).body == 'say "hi" \\ end'
                else:
                    assert "[debug]" in log


@pytest.mark.parametrize("server", SERVERS)
async def test_moderation_is_where_it_is_declared(server: str, lab: Lab, tmp_path: Path) -> None:
    with Recorder(tmp_path / "history.jsonl") as history:
        async with Federation(lab, history) as federation:
            home = federation.server(server)
            person = await home.person()
            await home.room("square", occupants=[person])
            found = await _info(person, f"square@conference.{server}.test")
    assert ("urn:xmpp:message-moderate:" in found) == home.spec.has("moderation")
    assert "urn:xmpp:mam:2" not in found


async def _info(person, jid: str) -> str:
    query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    return (await person.device.iq(f"<iq type='get' id='info-{jid}' to='{jid}'>{query}</iq>")).xml


BIDI = """
name: bidi
defaults: {features: [bidi]}
servers: {a: {}, b: {software: %s}}
links: [{between: [a, b]}]
"""


@pytest.mark.slow
@pytest.mark.parametrize("software", ["prosody@0.12", "prosody@13.0"])
async def test_one_stream_carries_both_directions(runtime: str, software: str, tmp_path: Path) -> None:
    """XEP-0288: where all streams have been ended, one connection is enough for a message and its answer."""
    (tmp_path / "bidi.yaml").write_text(BIDI % software)
    labs = SessionLabs(runtime)
    try:
        used = await labs.get(str(tmp_path / "bidi.yaml"))
        with Recorder(tmp_path / "history.jsonl") as recorder:
            async with Federation(used, recorder) as federation:
                a, b = federation.linked_pair()
                alice, bob = await a.person(), await b.person()
                async with federation.inject(reset_streams(federation.link(a, b), how="close")):
                    pass
                assert await _open_connections(used) == 0
                async with asyncio.timeout(3 * PATIENCE):  # what a server had not noticed to be gone may swallow one
                    while not (await (await alice.send(bob, "a message")).outcome(5.0)).deliveries:
                        pass
                assert (await (await bob.send(alice, "its answer")).outcome(PATIENCE)).deliveries
                assert await _open_connections(used) == 1
    finally:
        await labs.close()


async def _open_connections(used: Lab) -> int:
    async with used.open_control() as control:
        return sum(relay["open"] for relay in (await control.call("status"))["relays"])
