"""omemo-dr beside python-omemo, between devices without servers: each reads what the other has encrypted."""

import base64
import sys
from xml.etree import ElementTree as ET

import pytest

from lab.clients.encryption import EncryptionSettings, NotForUs, create_strategy, pep
from lab.errors import MissingError, PeerError, UserError
from tests.clients.encryption.test_keys_not_allowed import refused, without_keys
from tests.clients.encryption.test_omemo2 import ALICE, BOB, CAROL, OMEMO, TEXT, Device, nodes  # noqa: F401 - a fixture

OMEMO_DR = "omemo-dr"
KEY = "{eu.siacs.conversations.axolotl}key"
PAYLOAD = "{eu.siacs.conversations.axolotl}encrypted/{eu.siacs.conversations.axolotl}payload"
both_ways = pytest.mark.parametrize(("one", "other"), [(OMEMO, OMEMO_DR), (OMEMO_DR, OMEMO), (OMEMO_DR, OMEMO_DR)])


def test_without_the_library_the_error_says_how_to_get_it(monkeypatch):
    for name in [one for one in sys.modules if one.partition(".")[0] == "omemo_dr" or one.endswith(".omemo_dr")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "omemo_dr", None)
    with pytest.raises(MissingError, match="not installed beside xmpplab: `make omemo-dr` in its sources, or"):
        create_strategy(OMEMO_DR, EncryptionSettings("blind", None, {}, print))


@pytest.fixture
def installed():
    """The library, which is optional; in containers agents always have it."""
    return pytest.importorskip("omemo_dr", reason="omemo-dr is not installed: make omemo-dr")


@both_ways
async def test_two_read_each_other_in_turns(installed, nodes, one, other):  # noqa: F811
    alice, bob = await Device(ALICE, one).begin(), await Device(BOB, other).begin()
    for sender, receiver in ((alice, bob), (alice, bob), (bob, alice), (bob, alice), (alice, bob), (bob, alice)):
        stanza, left_out = await sender.write(receiver.jid)
        assert not left_out
        got = await receiver.read(stanza)
        assert (got.body, got.sender_key, got.trust) == (TEXT, sender.answer["fingerprint"], "blind")
        with pytest.raises(PeerError) as refused:  # the same once more
            await receiver.read(stanza)
        assert TEXT not in str(refused.value)
    (key,) = await bob.strategy.fetch_keys(ALICE)
    assert (key.id, key.fingerprint) == (alice.answer["omemo_device"], alice.answer["fingerprint"])


@both_ways
async def test_messages_that_are_overtaken_are_read_and_changed_ones_are_not(installed, nodes, one, other):  # noqa: F811
    alice, bob = await Device(ALICE, one).begin(), await Device(BOB, other).begin()
    stanzas = [(await alice.write(BOB, f"{TEXT} {number}"))[0] for number in range(4)]
    payload = stanzas[3].find(PAYLOAD)
    changed = bytearray(base64.b64decode(payload.text))
    changed[0] ^= 1
    payload.text = base64.b64encode(changed).decode()
    for number in (2, 0, 1):
        assert (await bob.read(stanzas[number])).body == f"{TEXT} {number}"
    with pytest.raises(PeerError) as refused:
        await bob.read(stanzas[3])
    assert TEXT not in str(refused.value)
    assert (await bob.read((await alice.write(BOB))[0])).body == TEXT


@both_ways
async def test_first_messages_that_cross_are_read(installed, nodes, one, other):  # noqa: F811
    alice, bob = await Device(ALICE, one).begin(), await Device(BOB, other).begin()
    (there, _), (back, _) = await alice.write(BOB), await bob.write(ALICE)
    assert [(await bob.read(there)).body, (await alice.read(back)).body] == [TEXT, TEXT]
    for sender, receiver in ((alice, bob), (bob, alice), (bob, alice), (alice, bob)):
        assert (await receiver.read((await sender.write(receiver.jid))[0])).body == TEXT


async def test_every_device_of_both_sides_reads_and_others_do_not(installed, nodes):  # noqa: F811
    alice, laptop = await Device(ALICE, OMEMO_DR).begin(), await Device(ALICE, OMEMO).begin()
    bob, tablet = await Device(BOB, OMEMO_DR).begin(), await Device(BOB, OMEMO).begin()
    carol = await Device(CAROL, OMEMO_DR).begin()
    stanza, left_out = await alice.write(BOB)
    assert not left_out and len([*stanza.iter(KEY)]) == 3
    assert [(await device.read(stanza)).body for device in (laptop, bob, tablet)] == [TEXT] * 3
    for device in (carol, alice):
        with pytest.raises(NotForUs):
            await device.read(stanza)


async def test_who_has_no_device_is_not_written_to_and_a_device_without_keys_is_left_out(installed, nodes):  # noqa: F811
    alice = await Device(ALICE, OMEMO_DR).begin()
    with pytest.raises(PeerError, match=f"^not sent: {BOB} has no OMEMO device that can be encrypted to"):
        await alice.write(BOB)
    bob, lost = await Device(BOB, OMEMO_DR).begin(), await Device(BOB, OMEMO_DR).begin()
    number = lost.answer["omemo_device"]
    del nodes[BOB, f"eu.siacs.conversations.axolotl.bundles:{number}", "current"]
    stanza, (left,) = await alice.write(BOB)
    assert (left.owner, left.device, left.published, left.excluded) == (BOB, number, False, False)
    assert (await bob.read(stanza)).body == TEXT


async def test_a_signature_that_is_not_the_identity_keys_is_refused(installed, nodes):  # noqa: F811
    alice, bob, carol = [await Device(one, OMEMO_DR).begin() for one in (ALICE, BOB, CAROL)]
    mine, others = (f"eu.siacs.conversations.axolotl.bundles:{one.answer['omemo_device']}" for one in (bob, carol))
    bundle, foreign = ET.fromstring(nodes[BOB, mine, "current"]), ET.fromstring(nodes[CAROL, others, "current"])
    name = "{eu.siacs.conversations.axolotl}identityKey"
    bundle.find(name).text = foreign.find(name).text
    nodes[BOB, mine, "current"] = ET.tostring(bundle)
    with pytest.raises(PeerError, match="has no OMEMO device that can be encrypted to"):
        await alice.write(BOB)


async def test_keys_wait_for_a_decision_and_distrusted_ones_are_left_out(installed, nodes):  # noqa: F811
    alice, bob = await Device(ALICE, OMEMO_DR, trust="undecided").begin(), await Device(BOB, OMEMO).begin()
    with pytest.raises(PeerError, match=f"nobody has decided whether to trust {BOB} {bob.answer['fingerprint']}"):
        await alice.write(BOB)
    await alice.strategy.set_trust(BOB, bob.answer["fingerprint"].upper(), "trusted")
    assert (await bob.read((await alice.write(BOB))[0])).body == TEXT
    tablet = await Device(BOB, OMEMO_DR).begin()
    with pytest.raises(PeerError, match=tablet.answer["fingerprint"]):
        await alice.write(BOB)
    await alice.strategy.set_trust(BOB, tablet.answer["fingerprint"], "distrusted")
    stanza, (left,) = await alice.write(BOB)
    assert left.excluded and left.device == tablet.answer["omemo_device"]
    with pytest.raises(NotForUs):
        await tablet.read(stanza)
    with pytest.raises(UserError, match="has no known key"):
        await alice.strategy.set_trust(BOB, "00", "trusted")


async def test_what_is_stored_goes_on_and_used_keys_leave_the_bundle(installed, nodes):  # noqa: F811
    alice, bob = await Device(ALICE, OMEMO).begin(), await Device(BOB, OMEMO_DR).begin()
    node = (BOB, f"eu.siacs.conversations.axolotl.bundles:{bob.answer['omemo_device']}", "current")
    before = {one.get("preKeyId") for one in ET.fromstring(nodes[node]).iter() if one.get("preKeyId")}
    await bob.read((await alice.write(BOB))[0])
    after = {one.get("preKeyId") for one in ET.fromstring(nodes[node]).iter() if one.get("preKeyId")}
    assert len(before) == 100 and len(before - after) == 1
    again = await Device(BOB, OMEMO_DR, memory=bob.memory).begin()
    assert again.answer == bob.answer
    assert (await again.read((await alice.write(BOB))[0])).body == TEXT


async def test_with_optional_keys_a_device_is_online_without_and_encrypts_nothing(installed, nodes, monkeypatch):  # noqa: F811
    alice = await Device(ALICE, OMEMO).begin()
    bob = await without_keys(monkeypatch, "service-unavailable", optional=True, encryption=OMEMO_DR)
    assert bob.answer == {} and "the own keys are not published" in bob.trouble[0]
    with pytest.raises(PeerError, match=r"^not sent: the own keys are not published"):
        await bob.write(ALICE)
    with pytest.raises(PeerError, match="has no OMEMO device"):
        await alice.write(BOB)
    with pytest.raises(PeerError, match="service-unavailable"):
        await without_keys(monkeypatch, "service-unavailable", optional=False, encryption=OMEMO_DR)


async def test_what_was_read_is_read_also_where_the_bundle_cannot_be_published_again(installed, nodes, monkeypatch):  # noqa: F811
    alice, bob = await Device(ALICE, OMEMO).begin(), await Device(BOB, OMEMO_DR).begin()
    stanza, _ = await alice.write(BOB)

    async def publish(stream, node, payload, item=pep.CURRENT):
        raise refused("internal-server-error")

    monkeypatch.setattr(pep, "publish", publish)
    assert (await bob.read(stanza)).body == TEXT
    (said,) = bob.trouble
    assert "the own bundle is not published again" in said


async def test_a_signed_prekey_is_kept_for_one_rotation(installed, nodes):  # noqa: F811
    bob = await Device(BOB, OMEMO_DR).begin()
    node = (BOB, f"eu.siacs.conversations.axolotl.bundles:{bob.answer['omemo_device']}", "current")
    old, results = nodes[node], []
    for sender in (ALICE, CAROL):
        await bob.strategy.rotate_signed_prekey()
        assert nodes[node] != old
        nodes[node] = old
        stanza, _ = await (await Device(sender, OMEMO).begin()).write(BOB)
        try:
            results.append((await bob.read(stanza)).body)
        except PeerError as error:
            results.append(str(error))
    assert results[0] == TEXT and "No such signed prekey" in results[1]
