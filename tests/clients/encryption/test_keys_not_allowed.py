"""Devices whose server refuses their keys, publishes them for contacts only, or that have lost the private ones."""

from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from lab.clients.encryption import EncryptionSettings, create_strategy, pep
from lab.clients.xmpp.client_stream import Refused
from lab.clients.xmpp.stanzas import CLIENT
from lab.errors import PeerError
from tests.clients.encryption.test_omemo2 import ALICE, BOB, OMEMO, OMEMO2, TEXT, Device, nodes  # noqa: F401 - a fixture

ERRORS = pep.ERRORS
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def refused(condition, specific=""):
    """The answer of a server to an IQ, as it is raised."""
    inside = f"<{specific} xmlns='{ERRORS}'/>" if specific else ""
    xml = ET.fromstring(
        f"<iq xmlns='{CLIENT}' type='error'><error><{condition} xmlns='{STANZAS}'/>{inside}</error></iq>"
    )
    iq = SimpleNamespace(xml=xml, __getitem__=None)
    return Refused("set pubsub", _Error(condition, iq))


class _Error(Exception):
    def __init__(self, condition, iq):
        self.condition, self.text, self.iq = condition, "", _Iq(iq.xml)


class _Iq:
    def __init__(self, xml):
        self.xml = xml

    def __getitem__(self, name):
        return ""


class Server:
    """Answers publications and configurations, and keeps what it was asked."""

    def __init__(self, *, opens, configures=True, broken=0):
        self.opens, self.configures, self.broken = opens, configures, broken
        self.asked, self.troubles = [], []

    def trouble(self, text):
        self.troubles.append(text)

    async def ask(self, kind, query, to=None):
        text = ET.tostring(query, "unicode")
        wants_open = ">open<" in text
        self.asked.append("configure" if pep.OWNER in text else "create" if "create" in text else "publish")
        if self.broken:
            self.broken -= 1
            raise refused("internal-server-error")
        if wants_open and not self.opens:
            if self.asked[-1] == "publish":
                raise refused("conflict", "precondition-not-met")
            if not self.configures:
                raise refused("not-acceptable")


@pytest.mark.parametrize("configures", [True, False], ids=["ignores the access model", "refuses it"])
async def test_what_may_not_be_opened_is_published_for_contacts_and_said(configures):
    server = Server(opens=False, configures=configures)
    await pep.publish(server, "node", ET.Element("x"))
    assert server.asked == ["publish", "configure", "publish", "publish"]
    assert server.troubles == ["node is published for contacts only: the own server does not let it be opened"]
    await pep.make_node_of_many(server, "many")
    assert server.asked[4:] == (["create"] if configures else ["create", "create"])


async def test_where_it_may_be_opened_nobody_is_told_anything_and_what_failed_is_asked_again():
    server = Server(opens=True, broken=2)
    await pep.make_node_of_many(server, "many")
    await pep.publish(server, "node", ET.Element("x"))
    assert (server.asked, server.troubles) == ([*["create"] * 3, "publish"], [])


def test_an_error_says_its_application_specific_condition():
    error = refused("not-authorized", "presence-subscription-required")
    assert error.reason == "not-authorized, presence-subscription-required"
    assert error.condition == "not-authorized" and error.reason in str(error)


async def without_keys(monkeypatch, condition, *, optional, encryption=OMEMO):
    """A device of bob's whose server refuses what it publishes."""

    async def publish(stream, node, payload, item=pep.CURRENT):
        raise refused(condition)

    monkeypatch.setattr(pep, "publish", publish)
    device = Device(BOB, encryption)
    settings = EncryptionSettings("blind", None, {}, device.trouble.append, keys_optional=optional)
    device.strategy = create_strategy(encryption, settings)
    device.strategy.prepare(device.stream)
    return await device.begin()


async def test_with_optional_keys_a_device_is_online_without_and_encrypts_nothing(nodes, monkeypatch):  # noqa: F811
    alice = await Device(ALICE, OMEMO).begin()
    bob = await without_keys(monkeypatch, "service-unavailable", optional=True)
    assert bob.answer == {}
    (said,) = bob.trouble
    assert "the own keys are not published" in said and "service-unavailable" in said
    for request in (bob.write(ALICE), bob.strategy.fetch_keys(ALICE), bob.strategy.fetch_devices(ALICE)):
        with pytest.raises(PeerError, match="the own keys are not published"):
            await request
    with pytest.raises(PeerError, match="has no OMEMO device"):
        await alice.write(BOB)
    await bob.strategy.close()


@pytest.mark.parametrize(("condition", "optional"), [("service-unavailable", False), ("internal-server-error", True)])
async def test_keys_that_are_needed_and_servers_that_fail_are_errors(nodes, monkeypatch, condition, optional):  # noqa: F811
    with pytest.raises(PeerError, match=condition):
        await without_keys(monkeypatch, condition, optional=optional)


async def test_a_device_that_has_lost_its_keys_is_encrypted_to_and_reads_nothing(nodes):  # noqa: F811
    alice, bob = await Device(ALICE, OMEMO).begin(), await Device(BOB, "omemo-keys-lost").begin()
    stanza, left_out = await alice.write(BOB)
    assert left_out == []
    with pytest.raises(PeerError, match="has published keys and lost the private ones: it cannot decrypt"):
        await bob.read(stanza)
    with pytest.raises(PeerError, match=r"^not sent: .* it cannot encrypt$"):
        await bob.write(ALICE, TEXT)


async def test_who_cannot_be_found_on_a_list_is_not_read_and_the_error_says_why(nodes, monkeypatch):  # noqa: F811
    alice, bob = await Device(ALICE, OMEMO2).begin(), await Device(BOB, OMEMO2).begin()
    stanza, _ = await alice.write(BOB)

    async def fetch(stream, of, node, item=None):
        raise refused("forbidden")

    monkeypatch.setattr(pep, "fetch", fetch)
    with pytest.raises(PeerError, match=rf"^the OMEMO device list of {ALICE} cannot be fetched: forbidden$"):
        await bob.read(stanza)
