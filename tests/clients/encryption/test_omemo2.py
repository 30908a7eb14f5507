"""OMEMO 2 between devices without servers: messages are handed over, and tampered with, as the test wants."""

import copy
import logging
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from lab.clients.encryption import EncryptionSettings, NotForUs, create_strategy, envelope, pep
from lab.clients.xmpp.stanzas import CLIENT, Incoming, read
from lab.errors import PeerError, UserError

ALICE, BOB, CAROL = "alice@a.test", "bob@b.test", "carol@b.test"
OMEMO, OMEMO2, BOTH = "omemo", "omemo:2", "omemo+omemo:2"
NAMESPACE = "urn:xmpp:omemo:2"
TEXT = "the words that nobody else may read"


class Stream:
    """What a strategy wants of a stream before anything is sent."""

    default_ns = CLIENT

    def __init__(self, jid):
        self.boundjid = SimpleNamespace(bare=jid)
        self.features = []
        self.plugin = {
            "xep_0030": SimpleNamespace(add_feature=self.features.append),
            "xep_0115": SimpleNamespace(update_caps=self._update_caps),
        }

    def register_plugin(self, name):
        assert name in self.plugin

    def register_handler(self, handler):
        pass

    def send(self, *anything, **more):
        """Messages with keys only; the tests do not need them."""

    async def _update_caps(self, broadcast):
        pass


class Device:
    """A device; messages with keys only are dropped."""

    def __init__(self, jid, encryption, trust="blind", memory=None):
        self.jid = jid
        self.memory = {} if memory is None else memory
        self.stream = Stream(jid)
        self.trouble = []
        self.strategy = create_strategy(encryption, EncryptionSettings(trust, None, self.memory, self.trouble.append))
        self.strategy.prepare(self.stream)

    async def begin(self):
        self.answer = await self.strategy.start()
        await self.strategy.ready()
        return self

    async def write(self, to, text=TEXT):
        """The stanza as the receiver's server delivers it, and who was left out."""
        message = ET.Element(f"{{{CLIENT}}}message", {"to": to, "id": "m1", "type": "chat"})
        ET.SubElement(message, f"{{{CLIENT}}}body").text = text
        sealed = await self.strategy.seal(message, frozenset({to}))
        (stanza,) = sealed.stanzas
        stanza.set("from", f"{self.jid}/x")
        assert text not in ET.tostring(stanza, "unicode")
        return ET.fromstring(ET.tostring(stanza)), sealed.left_out

    async def read(self, stanza):
        incoming = read(stanza, self.jid, f"{self.jid}/y")
        assert isinstance(incoming, Incoming)
        return await self.strategy.decrypt(incoming, incoming.sender.partition("/")[0])


@pytest.fixture
def nodes(monkeypatch):
    """What everybody has published."""
    published = {}

    async def publish(stream, node, payload, item=pep.CURRENT):
        published[stream.boundjid.bare, node, item] = ET.tostring(payload)

    async def fetch(stream, of, node, item=None):
        found = published.get((of, node, item or pep.CURRENT))
        return None if found is None else ET.fromstring(found)

    async def make_node_of_many(stream, node):
        published.setdefault((stream.boundjid.bare, node), b"")

    for function in (publish, fetch, make_node_of_many):
        monkeypatch.setattr(pep, function.__name__, function)
    return published


async def test_bundles_are_items_of_one_node_and_nothing_of_0_3_is_there(nodes):
    devices = [await Device(BOB, OMEMO2).begin() for _ in range(2)]
    ids = {str(device.answer["omemo_device"]) for device in devices}
    assert set(nodes) == {
        (BOB, f"{NAMESPACE}:bundles"),
        (BOB, f"{NAMESPACE}:devices", "current"),
        *((BOB, f"{NAMESPACE}:bundles", one) for one in ids),
    }
    assert all(device.stream.features == [f"{NAMESPACE}:devices+notify"] for device in devices)


async def test_a_message_has_no_body_and_each_device_reads_it_once(nodes):
    alice, laptop = await Device(ALICE, OMEMO2).begin(), await Device(ALICE, OMEMO2).begin()
    bob = await Device(BOB, OMEMO2).begin()
    stanza, left_out = await alice.write(BOB)
    assert not left_out
    assert stanza.find(f"{{{CLIENT}}}body") is None
    assert stanza.find("{urn:xmpp:hints}store") is not None
    for device in (bob, laptop):
        got = await device.read(stanza)
        assert (got.body, got.encryption, got.trust) == (TEXT, OMEMO2, "blind")
        assert got.sender_key == alice.answer["fingerprint"]
    with pytest.raises(PeerError) as refused:
        await bob.read(stanza)
    assert TEXT not in str(refused.value)
    assert str(refused.value).endswith("(It seems like this message was already decrypted before.)")


async def test_the_size_does_not_give_away_that_of_the_text(nodes):
    assert len({len(envelope.write([], ALICE, BOB)) for _ in range(50)}) > 5


REQUEST, CORRECTION = "{urn:xmpp:receipts}request", "{urn:xmpp:message-correct:0}replace"


async def seal(device, text=TEXT, hint=None):
    """A message of a device to bob that asks for a receipt and corrects another one."""
    message = ET.Element(f"{{{CLIENT}}}message", {"to": BOB, "id": "m1", "type": "chat"})
    ET.SubElement(message, REQUEST)
    ET.SubElement(message, CORRECTION, {"id": "m0"})
    if text is not None:
        ET.SubElement(message, f"{{{CLIENT}}}body").text = text
    if hint is not None:
        ET.SubElement(message, f"{{urn:xmpp:hints}}{hint}")
    (stanza,) = (await device.strategy.seal(message, frozenset({BOB}))).stanzas
    stanza.set("from", f"{device.jid}/x")
    return ET.fromstring(ET.tostring(stanza))


async def test_all_that_is_for_the_receiver_is_in_the_envelope(nodes):
    alice, bob = await Device(ALICE, OMEMO2).begin(), await Device(BOB, OMEMO2).begin()
    stanza = await seal(alice)
    assert [child.tag for child in stanza if child.tag in (REQUEST, CORRECTION)] == []
    assert bob.strategy.hides_content(stanza)
    got = await bob.read(stanza)
    assert (got.body, [one.tag for one in got.content]) == (TEXT, [REQUEST, CORRECTION])


async def test_it_stays_outside_as_long_as_somebody_reads_the_old_version_only(nodes):
    alice = await Device(ALICE, BOTH).begin()
    old, new = await Device(BOB, OMEMO).begin(), await Device(BOB, OMEMO2).begin()
    stanza = await seal(alice)
    assert stanza.find(REQUEST) is not None and stanza.find(CORRECTION) is not None
    assert (old.strategy.hides_content(stanza), new.strategy.hides_content(stanza)) == (False, True)
    assert ((await old.read(stanza)).body, (await old.read(await seal(alice))).content) == (TEXT, ())
    assert [one.tag for one in (await new.read(stanza)).content] == [REQUEST, CORRECTION]


async def test_a_message_without_a_text_is_for_who_reads_envelopes(nodes):
    alice, bob = await Device(ALICE, BOTH).begin(), await Device(BOB, BOTH).begin()
    stanza = await seal(alice, text=None)
    assert stanza.find("{eu.siacs.conversations.axolotl}encrypted") is None
    got = await bob.read(stanza)
    assert (got.body, [one.tag for one in got.content]) == (None, [REQUEST, CORRECTION])
    assert (alice.strategy.envelopes, (await Device(CAROL, OMEMO).begin()).strategy.envelopes) == (True, False)
    with pytest.raises(PeerError, match=r"OMEMO 0\.3 encrypts a body, and the message has none"):
        await seal(await Device(ALICE, OMEMO).begin(), text=None)


@pytest.mark.parametrize(("hint", "stored"), [(None, True), ("no-copy", True), ("no-store", False)])
async def test_what_is_not_to_be_stored_is_not_to_be_stored(nodes, hint, stored):
    alice, _ = await Device(ALICE, OMEMO2).begin(), await Device(BOB, OMEMO2).begin()
    assert ((await seal(alice, hint=hint)).find("{urn:xmpp:hints}store") is not None) is stored


TAMPERED = {
    "to": ({"to": CAROL}, "the 'to' of its envelope"),
    "a room": ({"to": ALICE, "type": "groupchat", "from": f"room@c.test/{ALICE}"}, "the 'to' of its envelope"),
}


@pytest.mark.parametrize(("changes", "reason"), TAMPERED.values(), ids=TAMPERED)
async def test_what_a_server_changed_around_the_envelope_is_refused(nodes, changes, reason):
    """The own server shows the copy for the other device as written to somebody else, or in a room."""
    alice, laptop = await Device(ALICE, OMEMO2).begin(), await Device(ALICE, OMEMO2).begin()
    await Device(BOB, OMEMO2).begin()
    stanza, _ = await alice.write(BOB)
    changed = copy.deepcopy(stanza)
    for name, value in changes.items():
        changed.set(name, value)
    incoming = read(changed, ALICE, f"{ALICE}/y")
    with pytest.raises(PeerError, match=reason) as refused:
        await laptop.strategy.decrypt(incoming, ALICE)
    assert TEXT not in str(refused.value)


@pytest.mark.parametrize("part", ["payload", "key"])
async def test_ciphertext_that_was_changed_is_refused_without_the_text(nodes, part, caplog):
    alice, bob = await Device(ALICE, OMEMO2).begin(), await Device(BOB, OMEMO2).begin()
    stanza, _ = await alice.write(BOB)
    element = next(one for one in stanza.iter(f"{{{NAMESPACE}}}{part}"))
    element.text = element.text[:-8] + ("AAAAAAA=" if element.text[-8:] != "AAAAAAA=" else "BAAAAAA=")
    with caplog.at_level(logging.DEBUG), pytest.raises(PeerError) as refused:
        await bob.read(stanza)
    assert TEXT not in str(refused.value) + caplog.text


async def test_no_log_has_the_text(nodes, caplog):
    with caplog.at_level(logging.DEBUG):
        alice, bob = await Device(ALICE, BOTH).begin(), await Device(BOB, OMEMO2).begin()
        stanza, _ = await alice.write(BOB)
        assert (await bob.read(stanza)).body == TEXT
    assert TEXT not in caplog.text


MIX = {OMEMO: OMEMO, OMEMO2: OMEMO2, BOTH: OMEMO2}


async def test_each_device_of_a_person_is_encrypted_to_once_with_what_it_reads(nodes):
    alice = await Device(ALICE, BOTH).begin()
    bobs = {encryption: await Device(BOB, encryption).begin() for encryption in MIX}
    stanza, left_out = await alice.write(BOB)
    assert not left_out
    assert stanza.find(f"{{{CLIENT}}}body").text.startswith("This message is encrypted")  # for 0.3, which has one
    keys = [key.get("rid") for key in stanza.iter() if key.get("rid")]
    assert sorted(keys) == sorted(str(bob.answer["omemo_device"]) for bob in bobs.values())
    for encryption, used in MIX.items():
        got = await bobs[encryption].read(stanza)
        assert (got.body, got.encryption) == (TEXT, used)
        back, _ = await bobs[encryption].write(ALICE, "an answer")
        got = await alice.read(back)
        assert (got.body, got.encryption) == ("an answer", used)
    other = await Device(BOB, BOTH).begin()
    with pytest.raises(NotForUs):
        await other.read(stanza)


@pytest.mark.parametrize(("mine", "theirs"), [(OMEMO, OMEMO2), (OMEMO2, OMEMO)])
async def test_without_a_version_in_common_nothing_is_sent(nodes, mine, theirs):
    alice, _ = await Device(ALICE, mine).begin(), await Device(BOB, theirs).begin()
    with pytest.raises(PeerError, match=f"{BOB} has no OMEMO device that can be encrypted to .this one uses {mine}."):
        await alice.write(BOB)


async def test_somebody_who_reads_nothing_keeps_a_message_from_all(nodes):
    """In a room: bob could read it, carol could not."""
    alice, _ = await Device(ALICE, OMEMO2).begin(), await Device(BOB, OMEMO2).begin()
    await Device(CAROL, OMEMO).begin()
    message = ET.Element(f"{{{CLIENT}}}message", {"to": "room@c.test", "type": "groupchat"})
    ET.SubElement(message, f"{{{CLIENT}}}body").text = TEXT
    with pytest.raises(PeerError, match=f"not sent: {CAROL} has no OMEMO device"):
        await alice.strategy.seal(message, frozenset({BOB, CAROL}))


async def test_undecided_keys_wait_in_either_version(nodes):
    alice = await Device(ALICE, BOTH, trust="undecided").begin()
    bob = await Device(BOB, OMEMO2).begin()
    with pytest.raises(PeerError, match=f"nobody has decided whether to trust {BOB} {bob.answer['fingerprint']}"):
        await alice.write(BOB)
    await alice.strategy.set_trust(BOB, bob.answer["fingerprint"], "trusted")
    stanza, _ = await alice.write(BOB)
    assert (await bob.read(stanza)).body == TEXT


async def test_a_device_may_learn_a_version_and_not_unlearn_one(nodes):
    """Others would go on to encrypt to it with what it does not read any more."""
    bob = await Device(BOB, OMEMO).begin()
    learned = await Device(BOB, BOTH, memory=bob.memory).begin()
    assert learned.answer == bob.answer
    alice = await Device(ALICE, OMEMO2).begin()
    stanza, _ = await alice.write(BOB)
    assert (await learned.read(stanza)).body == TEXT
    for encryption, more in ((OMEMO, NAMESPACE), (OMEMO2, "axolotl")):
        with pytest.raises(UserError, match=f"published for .*{more} as well"):
            await Device(BOB, encryption, memory=bob.memory).begin()
    assert (await Device(BOB, BOTH, memory=bob.memory).begin()).answer == bob.answer


@pytest.mark.parametrize("node", ["devices", "bundles"])
async def test_what_others_published_amiss_is_one_error(nodes, node):
    alice, bob = await Device(ALICE, OMEMO2).begin(), await Device(BOB, OMEMO2).begin()
    item = "current" if node == "devices" else str(bob.answer["omemo_device"])
    nodes[BOB, f"{NAMESPACE}:{node}", item] = b"<x xmlns='urn:example'/>"
    expected = "device list of bob@b.test is malformed" if node == "devices" else "has no OMEMO device"
    with pytest.raises(PeerError, match=expected):
        await alice.write(BOB)
