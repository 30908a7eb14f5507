"""Scripted servers: raw peers against each other and against real servers, over both runtimes."""

import contextlib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import pytest_asyncio

from lab.checks import delivery
from lab.errors import NotApplicable, NotReceived, PeerError, TimedOut, UserError
from lab.federation import Federation
from lab.history.events import (
    Bounced,
    Delivered,
    Note,
    NotSent,
    Sent,
    ServerSaw,
    ServerStreamClosed,
    ServerStreamOpened,
)
from lab.history.recorder import Recorder
from lab.lifecycle.up import up
from lab.metrics.record import RunRecord
from lab.topology.files import load
from lab.topology.spec import Certificate, Link, Server, Topology
from tests.runtimes import PROCESSES, SLOW_CONTAINERS

pytestmark = pytest.mark.live

SOFTWARE = ["prosody", "ejabberd"]


def scripted(name: str, **more: object) -> Server:
    return Server(name=name, domain=f"{name}.test", software="scripted", version="", **more)


#: Three scripts: a and b trust each other, nobody trusts bad.
SCRIPTS = Topology(
    "scripts",
    "",
    (scripted("a"), scripted("b"), scripted("bad", certificate=Certificate.UNKNOWN_AUTHORITY)),
    (Link("a", "b"), Link("a", "bad")),
)


@contextlib.asynccontextmanager
async def federation_of(lab, folder: Path):
    with Recorder(folder / "history.jsonl") as history:
        async with Federation(lab, history) as federation:
            yield federation


@contextlib.asynccontextmanager
async def two_of(lab, folder: Path):
    async with federation_of(lab, folder) as federation, federation.peer() as a, federation.server("b").peer() as b:
        yield federation, a, b


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scripts():
    """A lab without any server process: names and links only."""
    lab = await up(SCRIPTS, runtime="processes", owned=True)
    yield lab
    await lab.down()


async def test_nobody_probes_a_script(scripts) -> None:
    assert scripts.unknown == (("a", "b"), ("a", "bad"))
    assert await scripts.read_states() == {}


async def test_two_scripts_talk(scripts, tmp_path: Path) -> None:
    async with two_of(scripts, tmp_path) as (federation, a, b):
        assert await a.ping(b.server) < 20
        await a.send("<message from='x@a.test' to='y@b.test' id='m1'><body>hello</body></message>")
        heard = await b.expect("m1")
        assert (heard.sender, heard.body, heard.name) == ("x@a.test", "hello", "message")
        await b.refuse(heard, "gone")
        assert (await a.expect("m1")).element.find("{jabber:server}error") is not None
        with pytest.raises(NotReceived, match="no stanza with 'm1' within") as caught:
            await b.expect("m1", within=0.1)
        assert await b.received("m1") == heard  # it is still there for those who only ask
        assert "hello" in str(caught.value.evidence)
        seen = [(one.server, one.direction) for one in federation.history.events if isinstance(one, ServerSaw)]
        assert {("a", "out"), ("b", "in"), ("b", "out"), ("a", "in")} <= set(seen)
        assert [one.message for one in federation.history.events if isinstance(one, Sent)] == ["m1"]
        assert [one.condition for one in federation.history.events if isinstance(one, Bounced)] == ["gone"]


async def test_who_spoke_is_proved_by_the_stream(scripts, tmp_path: Path) -> None:
    """b takes what a says in the name of somebody else: the history says whose stream it came on."""
    async with two_of(scripts, tmp_path) as (federation, a, b):
        await a.send("<message from='victim@bad.test/x' to='y@b.test' id='f1'><body>send money</body></message>")
        b.accept(await b.expect("f1"))
        events = federation.history.events
        (sent,) = (one for one in events if isinstance(one, Sent))
        assert (sent.sender, sent.claimed) == ("a.test", "victim@bad.test/x")
        seen = {(one.server, one.direction): one.peer for one in events if isinstance(one, ServerSaw)}
        assert seen == {("a", "out"): "b.test", ("b", "in"): "a.test"}
        verdict = delivery.check(RunRecord(tuple(events), scripts.plan))
        assert verdict.value == "failed" and "it was sent on a stream of a.test" in verdict.sentence


async def test_bad_manners(scripts, tmp_path: Path) -> None:
    async with two_of(scripts, tmp_path) as (federation, a, b):
        await a.ping(b.server)
        await b.behave(pings=False)
        with pytest.raises(TimedOut):
            await a.ping(b.server, within=0.3)
        await b.behave(pings=True)
        await a.raw(b.server, "<message id='half'><body>")
        await a.raw(b.server, "</body></message>")
        assert (await b.expect("half")).body == ""
        await a.raw(b.server, "<message></iq>")
        assert await a.closed(b.server) == "stream error not-well-formed"
        assert await a.ping(b.server) < 20  # on a new stream
        with pytest.raises(TimedOut, match="still open"):
            await a.closed(b.server, within=0.1)
        await a.close(b.server, condition="policy-violation")
        await b.behave(streams="refuse")
        with pytest.raises(PeerError, match=r"no stream to b\.test"):
            await a.ping(b.server)
        closed = [one for one in federation.history.events if isinstance(one, ServerStreamClosed)]
        assert {(one.server, one.direction, one.condition, one.by) for one in closed if one.condition} >= {
            ("a", "out", "not-well-formed", "peer"),
            ("b", "in", "not-well-formed", "server"),
            ("a", "out", "policy-violation", "server"),
            ("b", "in", "policy-violation", "peer"),
        }
        opened = next(one for one in federation.history.events if isinstance(one, ServerStreamOpened))
        assert (opened.tls, opened.authentication) == ("TLSv1.3", "EXTERNAL")


async def test_a_silent_server_is_told_with_how_far_it_came(scripts, tmp_path: Path) -> None:
    async with two_of(scripts, tmp_path) as (_, a, b):
        await b.behave(streams="silent")
        with pytest.raises(TimedOut, match="waiting for the other's header"):
            await a._call("peer_send", xml="<iq to='b.test'/>", timeout=0.5)


async def test_a_certificate_that_proves_nothing_opens_nothing(scripts, tmp_path: Path) -> None:
    async with federation_of(scripts, tmp_path) as federation, federation.peer() as a:
        async with federation.server("bad").peer() as bad:
            with pytest.raises(PeerError, match=r"no stream to a\.test"):
                await bad.send("<message from='x@bad.test' to='y@a.test' id='m2'><body>x</body></message>")
            with pytest.raises(PeerError, match=r"no stream to bad\.test: no TLS"):
                await a.ping(bad.server)
        assert [one.message for one in federation.history.events if isinstance(one, NotSent)] == ["m2"]
        assert a.stanzas == []


async def test_dialback_in_every_role(scripts, tmp_path: Path) -> None:
    """Each proves its domain to the other by a key; whatever their certificates, and a false key proves nothing."""
    async with two_of(scripts, tmp_path) as (federation, a, b):
        for peer in (a, b):
            await peer.negotiate(authentication="dialback", certificate="self-signed")
        assert await a.ping(b.server) < 20
        opened = [one for one in federation.history.events if isinstance(one, ServerStreamOpened)]
        assert {(one.server, one.direction, one.authentication) for one in opened} == {
            (name, direction, "dialback") for name in "ab" for direction in ("out", "in")
        }
        assert all(one.tls for one in opened)
        await a.negotiate(key="false")
        stream = await a.open(b.server)
        assert (stream.open, stream.authentication) == (False, "") and "dialback: invalid" in stream.reason
        await a.negotiate(verifies="valid")
        assert (await a.open(b.server)).authentication == "dialback"
        await a.negotiate(tls="none", verifies="silence", direction="out")
        stream = await a.open(b.server, within="0.5s")
        assert not stream.open and "STARTTLS" not in stream.authentication and "<starttls" in stream.features


async def test_streams_are_negotiated_as_the_script_says(scripts, tmp_path: Path) -> None:
    async with two_of(scripts, tmp_path) as (federation, a, b):
        for kind in Certificate:
            await a.negotiate(certificate=kind)
            stream = await a.open(b.server)
            # b takes any certificate that may be a server's: Python checks the purpose of a client's
            assert stream.open == (kind is Certificate.VALID), (kind, stream)
        await a.negotiate(certificate="valid", authentication="none", direction="out")
        stream = await a.open(b.server)
        assert stream.open and stream.authentication == "" and "EXTERNAL" in stream.features
        await a.raw(b.server, "<message from='x@a.test' to='y@b.test' id='u1'><body>x</body></message>")
        assert "not-authorized" in await a.closed(b.server)
        assert [one for one in federation.history.events if isinstance(one, Sent)] == []
        await a.negotiate(authentication="external", header={"to": "nobody.test"})
        assert (await a.open(b.server)).condition == "host-unknown"
        await a.negotiate(header={})
        await b.negotiate(features="<x xmlns='urn:x'/>", direction="in")
        stream = await a.open(b.server)
        assert stream.features == '<x xmlns="urn:x"/>' and "it offers no TLS" in stream.reason
        await b.negotiate(features="")
        assert (await a.open(b.server)).authentication == "EXTERNAL"
        for wrong in ({"tls": "off"}, {"authentication": "sasl"}, {"certificate": "old"}, {"direction": "both"}):
            with pytest.raises(UserError, match="unknown: use one of"):
                await a.negotiate(**wrong)


@pytest.mark.parametrize("time", range(5))
async def test_inside_the_script_for_a_debugger(scripts, time: int, tmp_path: Path) -> None:
    """On this loop, another than that of an agent: TLS is up at one end before the other end knows."""
    with Recorder(tmp_path / "history.jsonl") as history:
        async with (
            Federation(scripts, history, inline=True) as federation,
            federation.peer() as a,
            federation.server("b").peer() as b,
        ):
            assert await a.ping(b.server) < 20
            assert await b.ping(a.server) < 20


async def test_wrong_use_says_what_to_do(scripts, tmp_path: Path) -> None:
    async with federation_of(scripts, tmp_path) as federation:
        with pytest.raises(UserError, match="inside `async with`"):
            await federation.peer().send("<iq to='b.test'/>")
        with pytest.raises(NotApplicable, match="the lab makes no accounts on a"):
            await federation.server("a").person()
        async with federation.peer() as a:
            for xml in ("<iq/>", "<iq", "<iq to='b.test'/><iq to='b.test'/>"):
                with pytest.raises(UserError):
                    await a.send(xml)
            with pytest.raises(PeerError, match="NXDOMAIN"):
                await a.send("<iq to='nobody.test'/>")
            with pytest.raises(UserError, match="cannot listen"):
                await federation.peer().__aenter__()


@pytest.mark.parametrize("runtime", [PROCESSES, SLOW_CONTAINERS])
@pytest.mark.parametrize("kind", SOFTWARE)
async def test_a_script_and_a_real_server(kind: str, runtime: str, tmp_path: Path) -> None:
    """Both ways, over each runtime; after a reset of its streams the server finds the script again."""
    version = {"prosody": "13.0", "ejabberd": "24.12"}[kind]
    servers = (Server("home", "home.test", kind, version), scripted("peer"))
    lab = await up(Topology("by-hand", "", servers, (Link("home", "peer"),)), runtime=runtime, owned=True)
    try:
        assert lab.unknown == (("home", "peer"),)
        async with federation_of(lab, tmp_path) as federation, federation.peer() as peer:
            alice = await federation.server("home").person("alice")
            message = await alice.send(peer.person("robot"), "hello")
            stanza = await peer.expect(message.id)
            assert stanza.body == "hello"
            peer.accept(stanza)
            assert [one.device for one in (await message.outcome()).deliveries] == ["robot@peer.test/peer"]
            await peer.close(abort=True)
            await peer.ping(federation.server("home"))
            await peer.send(f"<message from='r@peer.test' to='{alice.device.jid}' id='r1'><body>hi</body></message>")
            await federation.context.call("ping", alice.device.key, to="peer.test", timeout=30.0)
            got = [one for one in federation.history.events if isinstance(one, Delivered) and one.message == "r1"]
            assert [one.device for one in got] == [alice.device.jid]
            assert (await alice.device.received("r1")).body == "hi"
            sent = [one.body for one in alice.device.stanzas if one.direction == "out" and one.id == message.id]
            assert sent == ["hello"]
            if kind == "ejabberd":  # it answers what it cannot read on the stream that it came on
                xml = f"<message from='r@peer.test' to='{alice.jid}' id='r2' xml:lang='en_US'><body>hi</body></message>"
                await peer.send(xml)
                answer = await peer.received(lambda one: one.type == "error" and one.id == "r2")
                assert "against its direction" in str([one for one in federation.history.events if type(one) is Note])
                bounced = [one for one in federation.history.events if isinstance(one, Bounced)]
                assert [(one.message, one.by) for one in bounced] == [("r2", answer.sender)]
                assert answer in peer.stanzas
                await peer.ping(federation.server("home"))
    finally:
        await lab.down()


def test_an_error_is_a_stanza_that_answers(tmp_path: Path) -> None:
    from lab.federation.stanzas import parse

    stanza = parse("<message id='&lt;1' from='a@a' to='b@b' type='chat'><body>x</body></message>", 0.0)
    error = ET.fromstring(stanza.error("gone", "modify"))
    assert (error.get("id"), error.get("from"), error.get("to"), error.get("type")) == ("<1", "b@b", "a@a", "error")


def test_the_committed_topology_has_a_script() -> None:
    assert [one.software for one in load("scripted-peer").servers] == ["prosody", "scripted"]
