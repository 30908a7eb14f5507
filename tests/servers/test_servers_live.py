"""What lab/servers renders, on real servers."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from lab.declarations.encryptions import find_by_element, list_elements
from lab.plan.build import build
from lab.plan.zones import Zones
from lab.servers import get_software
from lab.servers.conventions import FEED, READY
from lab.topology.spec import Authentication, Certificate, Link, Server, Tls, Topology, Unlinked
from tests.servers.harness import Client, running, runtime_facts

pytestmark = pytest.mark.live

PROSODY, EJABBERD = ("prosody", "13.0"), ("ejabberd", "24.12")


def server(name: str, kind: tuple[str, str], **more) -> Server:
    return Server(name, f"{name}.test", *kind, users=2, **more)


def planned(topology: Topology, tree: Path, root: Path, modules: Path):
    return build(topology, runtime_facts(tree, root, modules))


def direct(*pairs: str) -> tuple[Link, ...]:
    return tuple(Link(pair[0], pair[1], direct=True) for pair in pairs)


@pytest_asyncio.fixture(scope="module")
async def lab(tree, modules, new_folder):
    """Prosody a, ejabberd b, Prosody c, ejabberd d: a - b - c - d, so that every kind of pair is linked and not."""
    servers = (server("a", PROSODY), server("b", EJABBERD), server("c", PROSODY), server("d", EJABBERD))
    topology = Topology("line", "", servers, direct("ab", "bc", "cd", "db"))
    root = new_folder()
    async with running(planned(topology, tree, root, modules), root) as lab:
        for name in "abcd":
            await lab.ready(name)
        yield lab


def test_ready_is_told_in_order(lab):
    for name in "abcd":
        lines = lab.lines(name, READY)
        assert lines[0]["started"] is True
        assert {line["probed"] for line in lines[1:]} == {f"{other}.test" for other in lab.plan.server(name).probes}
        assert abs(lines[0]["at"] - time.time()) < 120


def test_a_probe_is_seen_in_both_feeds(lab):
    ping = lab.feed("b", direction="out", stream="s2s", name="iq", to="a.test", type="get")[0]
    assert lab.feed("a", direction="in", stream="s2s", id=ping["id"], type="get")
    assert lab.feed("b", direction="in", stream="s2s", id=ping["id"], type="result")
    assert "urn:xmpp:ping" in ping["stanza"]
    assert ping["size"] >= len("<iq/>")


def test_what_a_server_writes_is_its_owners_alone(lab):
    for name in "abcd":
        socket = lab.plan.server(name).spec.manifest.socket
        own = [path for path in lab.path(name).glob("data/*") if path.is_file()]
        for path in (lab.path(name, FEED), lab.path(name, READY), lab.path(name, socket), *own):
            assert path.stat().st_mode & 0o077 == 0, path


def test_nothing_complains(lab):
    for name in "abcd":
        log = lab.path(name, "server.log").read_text()
        assert not re.findall(r"^.*(?:\terror\t|\[error\]).*$", log, re.MULTILINE), name


@pytest.mark.parametrize("name", ["a", "b"])
async def test_accounts_before_the_start_and_on_a_running_server(lab, name):
    async with Client(lab, name, "user2"):
        pass
    with pytest.raises(PermissionError):
        await Client(lab, name, "fresh").__aenter__()
    from tests.servers.harness import keys

    kind, domain = get_software(lab.plan.server(name).spec.software), f"{name}.test"
    await lab.operate(name, kind.accounts(domain, ["fresh", "o_dd.na-me"], keys()))
    for user in ("fresh", "o_dd.na-me"):
        async with Client(lab, name, user):
            pass


@pytest.mark.parametrize("pair", ["ab", "ba", "bd", "db"])
async def test_a_link_delivers_and_the_feeds_tell_what_is_readable(lab, pair):
    async with Client(lab, pair[0]) as sender, Client(lab, pair[1]) as receiver:
        plain = sender.send(receiver.jid, "in the open")
        assert (await receiver.receive(plain))["body"] == "in the open"
        hidden = {one: sender.send(receiver.jid, "fallback", one) for one in list_elements()}
        otr = sender.send(receiver.jid, "?OTR:AAMD")
        for message in (*hidden.values(), otr):
            await receiver.receive(message)
    hops = [(pair[0], "in", "c2s"), (pair[0], "out", "s2s"), (pair[1], "in", "s2s"), (pair[1], "out", "c2s")]
    for name, direction, stream in hops:
        (line,) = lab.feed(name, id=plain, direction=direction, stream=stream)
        assert (line["body"], line["encryption"]) == (True, None)
        assert "in the open" in line["stanza"]
        assert line["from"].startswith(sender.jid) and line["to"].startswith(receiver.jid)
        for element, message in hidden.items():
            (line,) = lab.feed(name, id=message, direction=direction, stream=stream)
            assert (line["body"], line["encryption"]) == (False, find_by_element(element).namespace)
        (line,) = lab.feed(name, id=otr, direction=direction, stream=stream)
        assert (line["body"], line["encryption"]) == (False, "urn:xmpp:otr:0")


@pytest.mark.parametrize("to", ["user1@d.test", "room@conference.d.test"])
async def test_without_a_link_the_own_policy_of_prosody_answers_at_once(lab, to):
    await refused(lab, "a", to, Unlinked.NOT_ALLOWED)


async def test_without_a_link_the_own_policy_of_ejabberd_answers_at_once(tree, modules, root):
    topology = Topology("islands", "", (server("a", EJABBERD), server("b", PROSODY)), ())
    async with running(planned(topology, tree, root, modules), root) as lab:
        await lab.ready("a")
        await refused(lab, "a", "user1@b.test", Unlinked.NOT_ALLOWED)


async def refused(lab, name: str, to: str, kind: Unlinked) -> None:
    """A message is answered as the table of refusals says."""
    spec = lab.plan.server(name).spec
    promise = get_software(spec.software).refusal(spec.version, kind)
    async with Client(lab, name) as sender:
        answer = await sender.receive(sender.send(to), promise.within)
    assert answer["type"] == "error"
    assert answer["error"]["condition"] in promise.conditions


@pytest.mark.parametrize("kind", [Unlinked.NXDOMAIN, Unlinked.REFUSED])
async def test_network_kinds_give_the_senders_own_error(tree, modules, root, kind):
    topology = Topology("islands", "", (server("a", PROSODY), server("b", EJABBERD)), (), kind)
    async with running(planned(topology, tree, root, modules), root) as lab:
        for name, to in (("a", "user1@b.test"), ("b", "user1@a.test")):
            await lab.ready(name)
            await refused(lab, name, to, kind)


async def test_a_receiver_without_a_link_refuses_so_that_the_sender_bounces(tree, modules, root):
    """The backstop: a sender without a policy of its own is led straight to servers that do not want it."""
    kinds = {"a": PROSODY, "b": EJABBERD, "c": PROSODY, "d": EJABBERD}
    servers = tuple(server(name, kind) for name, kind in kinds.items())
    plan = planned(Topology("islands", "", servers, (), Unlinked.REFUSED), tree, root, modules)
    straight = Zones(replace(plan, topology=replace(plan.topology, unlinked=Unlinked.NOT_ALLOWED)))
    async with running(plan, root, straight) as lab:
        for name in kinds:
            await lab.ready(name)
        for source, target in ("ac", "ab", "ba", "bd"):
            async with Client(lab, source) as sender:
                answer = await sender.receive(sender.send(f"user1@{target}.test"), 5)
            assert answer["error"]["condition"] == "remote-server-timeout", (source, target)
            assert not lab.feed(target, direction="in", stream="s2s")


@pytest.mark.parametrize(
    ("tls", "authentication", "certificate"),
    [
        (Tls.REQUIRED, Authentication.DIALBACK, Certificate.VALID),
        (Tls.OFF, Authentication.DIALBACK, Certificate.VALID),
        (Tls.OPTIONAL, Authentication.EXTERNAL, Certificate.VALID),
        (Tls.REQUIRED, Authentication.EITHER, Certificate.SELF_SIGNED),
        (Tls.OPTIONAL, Authentication.EITHER, Certificate.EXPIRED),
    ],
    ids=str,
)
async def test_other_ways_to_trust_federate_too(tree, modules, root, tls, authentication, certificate):
    how = {"tls": tls, "authentication": authentication, "certificate": certificate}
    servers = (server("a", PROSODY, **how), server("b", EJABBERD, **how), server("c", PROSODY, **how))
    plan = planned(Topology("line", "", servers, direct("ab", "bc", "ac")), tree, root, modules)
    async with running(plan, root) as lab:
        for name in "abc":
            await lab.ready(name, 20)
        log = lab.path("a", "server.log").read_text()
        assert ("Stream encrypted" in log) == (tls is not Tls.OFF)
        external = authentication is Authentication.EXTERNAL
        assert ("Accepting SASL EXTERNAL identity from c.test" in log) == external


async def test_a_bad_certificate_is_refused_where_certificates_count(tree, modules, root):
    servers = (server("a", PROSODY), server("b", PROSODY, certificate=Certificate.EXPIRED), server("c", EJABBERD))
    plan = planned(Topology("line", "", servers, direct("ab", "bc", "ac")), tree, root, modules)
    async with running(plan, root) as lab:
        await lab.until("a and c have met", lambda: {"a.test"} == {x.get("probed") for x in lab.lines("c", READY)[1:]})
        async with Client(lab, "a") as a, Client(lab, "c") as c:
            for client in (a, c):
                answer = await client.receive(client.send("user1@b.test"), 5)
                assert answer["type"] == "error"
        assert not lab.feed("b", direction="in", stream="s2s")


@pytest.mark.parametrize("kind", [PROSODY, EJABBERD], ids=str)
async def test_a_thousand_accounts_at_once(tree, modules, root, kind):
    from tests.servers.harness import keys

    async with running(planned(Topology("one", "", (server("a", kind),), ()), tree, root, modules), root) as lab:
        await lab.ready("a")
        await lab.operate("a", get_software(kind[0]).accounts("a.test", [f"many{i}" for i in range(1000)], keys()))
        async with Client(lab, "a", "many999"):
            pass


PUBLISH = """<iq type="set" id="{id}" xmlns="jabber:client"><pubsub xmlns="http://jabber.org/protocol/pubsub">
<publish node="{node}"><item id="{item}"><list xmlns="{node}"><device id="7"/></list></item></publish>
<publish-options><x xmlns="jabber:x:data" type="submit">
<field var="FORM_TYPE"><value>http://jabber.org/protocol/pubsub#publish-options</value></field>
<field var="pubsub#access_model"><value>open</value></field>
<field var="pubsub#max_items"><value>{most}</value></field>
</x></publish-options></pubsub></iq>"""

FETCH = """<iq type="get" id="{id}" to="{to}" xmlns="jabber:client"><pubsub xmlns="http://jabber.org/protocol/pubsub">
<items node="{node}"/></pubsub></iq>"""


async def asked(client: Client, xml: str) -> str:
    """The answer to an IQ, as text. Raises slixmpp's IqError."""
    from xml.etree import ElementTree

    stanza = client.xmpp.Iq(xml=ElementTree.fromstring(xml))
    return str(await stanza.send(timeout=30))


@pytest.mark.parametrize("pair", ["ab", "ba", "bd"])
@pytest.mark.parametrize("most", [1, 100])
async def test_open_nodes_are_fetched_across_a_link_without_a_subscription(lab, pair, most):
    """What OMEMO needs (XEP-0384 section 5): publish-options that make a node open and say how much it holds."""
    async with Client(lab, pair[0]) as publisher, Client(lab, pair[1]) as reader:
        node = f"urn:lab:{pair}:{most}"
        for item in ("one", "two"):
            await asked(publisher, PUBLISH.format(id=f"p{item}", node=node, item=item, most=most))
        found = await asked(reader, FETCH.format(id="f1", to=publisher.jid, node=node))
    assert 'id="two"' in found and ('id="one"' in found) == (most > 1)


@pytest.mark.parametrize("name", ["a", "b"])
async def test_what_was_sent_is_in_the_archive(lab, name):
    async with Client(lab, name, "user1") as sender, Client(lab, name, "user2") as receiver:
        await receiver.receive(sender.send(receiver.jid, "for the archive"))
        archived = []
        receiver.xmpp.add_filter("in", lambda stanza: archived.append(str(stanza)) or stanza)
        query = '<iq type="set" id="m1" xmlns="jabber:client"><query xmlns="urn:xmpp:mam:2"/></iq>'
        assert "<fin" in await asked(receiver, query)
    assert any("for the archive" in each for each in archived)
