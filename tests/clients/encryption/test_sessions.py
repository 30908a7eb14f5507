"""Sessions of OMEMO 0.3 between two devices, without streams: messages are handed over as the test wants."""

from types import SimpleNamespace
from xml.etree import ElementTree as ET

import oldmemo.etree
import omemo
import pytest
from oldmemo.oldmemo import NAMESPACE

from lab.clients.encryption import pep
from lab.clients.encryption import session_manager as managers
from lab.clients.encryption.key_store import KeyStore
from lab.clients.encryption.omemo_0_3 import Omemo03
from lab.clients.encryption.sessions import MOST

ALICE, BOB = "alice@a.test", "bob@b.test"


class Party:
    """Somebody with one device."""

    def __init__(self, jid, folder=None):
        self.jid = jid
        self.stream = SimpleNamespace(boundjid=SimpleNamespace(bare=jid))
        self.store = KeyStore(jid, folder, {})
        self.version = Omemo03(self.store)
        self.sessions = self.version.sessions
        self.said = []  # empty messages, unsent

    async def begin(self):
        self.manager = await managers.create(
            self.stream, self.store, [self.version], True, lambda xml, to: self.said.append(xml)
        )
        await self.manager.after_history_sync()
        own, _ = await self.manager.get_own_device_information()
        self.device = own.device_id
        return self

    async def write(self, to, text):
        await self.manager.update_device_list(NAMESPACE, to.jid, {to.device: None})
        (sealed,), failed = await self.manager.encrypt(frozenset({to.jid}), {NAMESPACE: text.encode()})
        assert not failed
        return oldmemo.etree.serialize_message(sealed)

    async def read(self, sender, xml):
        xml = ET.fromstring(ET.tostring(xml))
        parsed = await oldmemo.etree.parse_message(xml, sender.jid, self.jid, self.manager)
        plaintext, _, _ = await self.sessions.decrypt(self.manager, parsed)
        return None if plaintext is None else plaintext.decode()

    async def session(self, other):
        """What tells the session in use with the other from all others."""
        return (
            await self.store.load(f"/{NAMESPACE}/{other.jid}/{other.device}/key_exchange/ephemeral_key")
        ).from_just()

    async def archived(self, other):
        return (await self.store.load(f"/{NAMESPACE}/{other.jid}/{other.device}/archived")).maybe([])


@pytest.fixture
def server(monkeypatch):
    """Everybody's nodes."""
    nodes = {}

    async def publish(stream, node, payload):
        nodes[stream.boundjid.bare, node] = ET.tostring(payload)

    async def fetch(stream, of, node, item=None):
        return ET.fromstring(nodes[of, node]) if (of, node) in nodes else None

    monkeypatch.setattr(pep, "publish", publish)
    monkeypatch.setattr(pep, "fetch", fetch)
    return nodes


@pytest.fixture
async def both(server):
    return await Party(ALICE).begin(), await Party(BOB).begin()


async def crossed(alice, bob):
    """First messages that cross, and the empty messages that answer them, which cross as well."""
    hers, his = await alice.write(bob, "hers"), await bob.write(alice, "his")
    assert (await alice.read(bob, his), await bob.read(alice, hers)) == ("his", "hers")
    (from_her,), (from_him,) = alice.said, bob.said
    assert (await alice.read(bob, from_him), await bob.read(alice, from_her)) == (None, None)
    alice.said.clear()
    bob.said.clear()


async def test_first_messages_that_cross_leave_later_ones_readable(both):
    alice, bob = both
    await crossed(alice, bob)
    for turn in range(3):  # these cross, too
        hers, his = await alice.write(bob, f"hers {turn}"), await bob.write(alice, f"his {turn}")
        assert (await alice.read(bob, his), await bob.read(alice, hers)) == (f"his {turn}", f"hers {turn}")
    assert not (alice.said or bob.said)


async def test_once_messages_do_not_cross_both_use_one_session(both):
    alice, bob = both
    await crossed(alice, bob)
    assert await alice.session(bob) != await bob.session(alice)
    assert await bob.read(alice, await alice.write(bob, "hers")) == "hers"
    assert await alice.read(bob, await bob.write(alice, "his")) == "his"
    assert await alice.session(bob) == await bob.session(alice)
    assert len(await alice.archived(bob)) == len(await bob.archived(alice)) == 1


async def test_several_of_each_before_the_first_comes(both):
    alice, bob = both
    hers = [await alice.write(bob, f"hers {n}") for n in range(3)]
    his = [await bob.write(alice, f"his {n}") for n in range(3)]
    assert [await alice.read(bob, one) for one in his] == ["his 0", "his 1", "his 2"]
    assert await alice.read(bob, await bob.write(alice, "his 3")) == "his 3"
    assert [await bob.read(alice, one) for one in hers] == ["hers 0", "hers 1", "hers 2"]
    assert await alice.read(bob, await bob.write(alice, "his 4")) == "his 4"
    assert await bob.read(alice, await alice.write(bob, "hers 4")) == "hers 4"


async def test_a_late_first_message_goes_with_the_session_that_it_built(both):
    """Written before the answer came, so that it carries the key exchange of a session that is archived by now."""
    alice, bob = both
    first, late = await alice.write(bob, "first"), await alice.write(bob, "late")
    his = await bob.write(alice, "his")
    assert await bob.read(alice, first) == "first"
    await alice.read(bob, his)
    assert await bob.read(alice, alice.said.pop()) is None  # in his session: hers is archived
    assert len(await bob.archived(alice)) == 1
    assert await bob.read(alice, late) == "late"
    assert len(await bob.archived(alice)) == 1


async def test_what_nobody_can_read_changes_nothing(both):
    alice, bob = both
    first = await alice.write(bob, "first")
    his = await bob.write(alice, "his")
    await bob.read(alice, first)
    await alice.read(bob, his)
    later = await alice.write(bob, "later")
    forged = ET.fromstring(ET.tostring(later))
    payload = forged.find(f"{{{NAMESPACE}}}payload")
    payload.text = "AAAA" + payload.text[4:]
    before = dict(bob.store._values)
    for bad in (first, forged):  # a replay, and a text that was tampered with
        with pytest.raises(omemo.DecryptionFailed):
            await bob.read(alice, bad)
        assert bob.store._values == before
    assert await bob.read(alice, later) == "later"


async def test_the_archive_outlives_the_process(server, tmp_path):
    alice, bob = await Party(ALICE).begin(), await Party(BOB, tmp_path).begin()
    hers, his = await alice.write(bob, "hers"), await bob.write(alice, "his")
    await bob.read(alice, hers)
    bob.store.commit()
    await alice.read(bob, his)
    answer = await alice.write(bob, "in his session")
    again = await Party(BOB, tmp_path).begin()
    assert again.device == bob.device
    assert await again.read(alice, answer) == "in his session"


async def test_old_sessions_are_let_go(both):
    alice, bob = both
    for _ in range(MOST + 2):
        await bob.read(alice, await alice.write(bob, "x"))
        (device,) = await alice.manager.get_device_information(BOB)
        assert not await alice.manager.replace_sessions(device)
    assert len(await alice.archived(bob)) == MOST


async def test_a_heartbeat_answers_each_53rd_message_and_lost_ones_leave_no_pile_of_keys(both):
    alice, bob = both
    await alice.read(bob, await bob.write(alice, "hello"))
    await bob.read(alice, alice.said.pop())  # the first message of her chain
    for number in range(213):
        assert len(bob.said) == number // 53
        await bob.read(alice, await alice.write(bob, "again"))
    before = len(str(alice.store._values))
    assert await alice.read(bob, bob.said.pop()) is None
    bob.said.clear()
    assert len(str(alice.store._values)) < before + 1000, "three lost ones are three keys"
    assert await bob.read(alice, await alice.write(bob, "the next chain")) == "the next chain"
    assert not bob.said


async def test_two_who_took_the_same_one_time_key_are_both_read_by_who_was_away(server, monkeypatch):
    """And then the key is gone from the bundle, which has a hundred others."""
    alice, carol, bob = await Party(ALICE).begin(), await Party("carol@a.test").begin(), Party(BOB)
    with monkeypatch.context() as patch:  # what waits for him has not been read yet
        patch.setattr(omemo.SessionManager, "after_history_sync", nothing)
        await bob.begin()
    (node,) = [node for jid, node in server if jid == BOB and "bundles" in node]
    bundle = ET.fromstring(server[BOB, node])
    keys = bundle.find(f"{{{NAMESPACE}}}prekeys")
    taken = keys[0]
    one_key = ET.fromstring(ET.tostring(bundle))
    one_key.find(f"{{{NAMESPACE}}}prekeys")[:] = [taken] * len(keys)
    server[BOB, node] = ET.tostring(one_key)
    hers, theirs = await alice.write(bob, "hers"), await carol.write(bob, "theirs")
    assert (await bob.read(alice, hers), await bob.read(carol, theirs)) == ("hers", "theirs")
    assert not bob.said
    await bob.manager.after_history_sync()
    assert len(bob.said) == 2
    after = [one.get("preKeyId") for one in ET.fromstring(server[BOB, node]).iter(f"{{{NAMESPACE}}}preKeyPublic")]
    assert taken.get("preKeyId") not in after and len(after) == len(keys)


async def nothing(*anything):
    """In place of a coroutine that does something."""
