"""The OTR of devices, on streams in memory: what is sent arrives at once, in order."""

import asyncio
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from lab.clients.encryption import EncryptionSettings, NotForUs, NotReadable, otr
from lab.clients.encryption.otr import OtrStrategy
from lab.clients.xmpp.stanzas import CLIENT, read_delivery
from lab.errors import PeerError, UserError

BODY = f"{{{CLIENT}}}body"
ALICE, BOB, LAPTOP = "alice@a.test/pc", "bob@b.test/phone", "bob@b.test/laptop"
BARE = "bob@b.test"


class Streams:
    """Devices by full JID; a stanza to a bare one goes to all of that person's."""

    def __init__(self) -> None:
        self.devices: dict[str, OtrStrategy] = {}
        self.sent: list[ET.Element] = []
        self.read: list[tuple[str, str, str]] = []  # device, id, what it read or why not
        self._queue: asyncio.Queue[tuple[str, ET.Element]] = asyncio.Queue()
        self._worker = asyncio.create_task(self._deliver())

    async def connect(self, jid: str, folder, libraries, trust="blind") -> OtrStrategy:
        strategy = OtrStrategy(EncryptionSettings(trust, folder, {}, print, libraries))
        bound = SimpleNamespace(bare=jid.partition("/")[0], full=jid)
        strategy.prepare(SimpleNamespace(boundjid=bound))
        strategy._send = lambda to, text: self.put(jid, strategy._build(to, text))
        await strategy.start()
        self.devices[jid] = strategy
        return strategy

    def put(self, sender: str, xml: ET.Element) -> str:
        xml.set("from", sender)
        self.sent.append(xml)
        self._queue.put_nowait((sender, xml))
        return xml.get("id", "")

    async def send(self, sender: str, to: str, text: str, message: str = "m1") -> None:
        sealed = await self.devices[sender].seal(stanza(to, text, message), frozenset())
        for xml in sealed.stanzas:
            self.put(sender, xml)
        await self._queue.join()

    async def _deliver(self) -> None:
        while True:
            _, xml = await self._queue.get()
            for jid, device in list(self.devices.items()):
                if xml.get("to") in (jid, jid.partition("/")[0]):
                    await self._receive(jid, device, xml)
            self._queue.task_done()

    async def _receive(self, jid: str, device: OtrStrategy, xml: ET.Element) -> None:
        incoming = read_delivery(xml, "live", jid)
        try:
            found = await device.decrypt(incoming, incoming.sender.partition("/")[0])
        except NotReadable as error:
            self.read.append((jid, error.message, str(error)))
        except NotForUs:
            pass
        else:
            if found is not None:
                self.read.append((jid, found.message, found.body))

    def bodies(self) -> list[str]:
        return [xml.findtext(BODY) for xml in self.sent]

    async def close(self) -> None:
        await self._queue.join()
        self._worker.cancel()
        for device in self.devices.values():
            await device.close()


def stanza(to: str, text: str, message: str = "m1", kind: str = "chat") -> ET.Element:
    xml = ET.Element(f"{{{CLIENT}}}message", {"to": to, "id": message, "type": kind})
    ET.SubElement(xml, BODY).text = text
    return xml


@pytest.fixture
async def streams():
    made = Streams()
    yield made
    await made.close()


@pytest.fixture
async def connect(streams, keys, otr_folder):
    async def one(jid: str, **fields) -> OtrStrategy:
        account = "" if jid == LAPTOP else jid.partition("/")[0]  # the laptop has a key of its own
        return await streams.connect(jid, keys(jid.replace("/", "-"), account), otr_folder, **fields)

    return one


async def test_the_first_message_begins_the_session_and_nothing_leaves_in_the_clear(streams, connect):
    await connect(ALICE)
    await connect(BOB)
    await streams.send(ALICE, BARE, "the secret")
    await streams.send(BOB, ALICE, "as well", "m2")
    assert streams.read == [(BOB, "m1", "the secret"), (ALICE, "m2", "as well")]
    assert all(body.startswith("?OTR") for body in streams.bodies())
    assert streams.bodies()[0] == "?OTRv23?"
    assert [xml.get("id") for xml in streams.sent if xml.get("to") == BARE][-1] == "m1"


async def test_two_who_write_first_at_once_both_are_read(streams, connect):
    await connect(ALICE)
    await connect(BOB)
    await asyncio.gather(streams.send(ALICE, BARE, "one"), streams.send(BOB, "alice@a.test", "two", "m2"))
    assert sorted(streams.read) == [(ALICE, "m2", "two"), (BOB, "m1", "one")]


async def test_who_does_not_take_up_the_offer_gets_nothing(streams, connect, monkeypatch):
    monkeypatch.setattr(otr, "ANSWER", 0.05)
    await connect(ALICE)
    with pytest.raises(PeerError, match=r"not sent: bob@b.test has not taken up the offer of an OTR session"):
        await streams.send(ALICE, BARE, "secret")
    assert streams.bodies() == ["?OTRv23?"]


async def test_an_offer_that_is_returned_is_an_error_at_once(streams, connect):
    alice = await connect(ALICE)
    sending = asyncio.create_task(streams.send(ALICE, BARE, "secret"))
    await asyncio.sleep(0)  # it runs until it waits for an answer
    assert alice.take_bounce(streams.sent[0].get("id"), "remote-server-not-found")
    with pytest.raises(PeerError, match="was returned: remote-server-not-found") as caught:
        await sending
    assert caught.value.condition == "remote-server-not-found"
    assert not alice.take_bounce("m1", "remote-server-not-found")
    assert streams.bodies() == ["?OTRv23?"]


async def test_of_two_devices_one_must_be_chosen(streams, connect):
    for jid in (ALICE, BOB, LAPTOP):
        await connect(jid)
    for jid in (BOB, LAPTOP):
        await streams.send(ALICE, jid, f"to {jid}", jid)
    assert streams.read == [(jid, jid, f"to {jid}") for jid in (BOB, LAPTOP)]
    before = len(streams.sent)
    with pytest.raises(PeerError, match=r"not sent: OTR is for one device, and bob@b\.test has 2"):
        await streams.send(ALICE, BARE, "secret")
    assert len(streams.sent) == before


async def test_copies_and_rooms_are_not_for_otr(streams, connect):
    alice, _ = await connect(ALICE), await connect(BOB)
    await streams.send(ALICE, BARE, "secret")
    laptop = await connect(LAPTOP)
    for via in ("carbon", "archive"):
        with pytest.raises(PeerError, match="OTR is for one device"):
            await laptop.decrypt(read_delivery(streams.sent[-1], via, LAPTOP), "alice@a.test")
        with pytest.raises(NotForUs):
            await laptop.decrypt(read_delivery(streams.sent[0], via, LAPTOP), "alice@a.test")
    with pytest.raises(PeerError, match="is a room"):
        await alice.seal(stanza("room@conference.b.test", "secret", kind="groupchat"), frozenset())
    with pytest.raises(PeerError, match="there is none"):
        await alice.seal(stanza(BARE, ""), frozenset())


async def test_a_long_message_has_the_id_of_its_first_piece(streams, connect):
    await connect(ALICE)
    await connect(BOB)
    await streams.send(ALICE, BARE, 100_000 * "x")
    assert streams.read == [(BOB, "m1", 100_000 * "x")]
    pieces = [xml for xml in streams.sent if xml.findtext(BODY).startswith("?OTR|")]
    assert len(pieces) > 1 and [xml.get("id") == "m1" for xml in pieces] == [True, *[False] * (len(pieces) - 1)]


@pytest.mark.parametrize("text", ["lost", 100_000 * "x"])
async def test_a_session_of_the_past_loses_a_message_and_a_new_one_begins(streams, connect, text):
    await connect(ALICE)
    bob = await connect(BOB)
    await streams.send(ALICE, BARE, "one")
    await bob.close()
    await connect(BOB)
    await streams.send(ALICE, BARE, text, "m2")
    await streams.send(ALICE, BARE, "three", "m3")
    assert [(device, message) for device, message, _ in streams.read] == [(BOB, "m1"), (BOB, "m2"), (BOB, "m3")]
    assert "no session with its sender" in streams.read[1][2] and streams.read[2][2] == "three"


async def test_after_the_end_of_a_session_the_next_message_begins_a_new_one(streams, connect):
    await connect(ALICE)
    bob = await connect(BOB)
    with pytest.raises(UserError, match="no OTR session"):
        await bob.end_session("alice@a.test")
    await streams.send(ALICE, BARE, "one")
    (told,) = (await bob.end_session("alice@a.test")).values()
    assert told == ALICE
    await streams._queue.join()
    await streams.send(ALICE, BARE, "two", "m2")
    assert streams.read == [(BOB, "m1", "one"), (BOB, "m2", "two")]
    assert all(body.startswith("?OTR") for body in streams.bodies())


@pytest.mark.parametrize(("answer", "result"), [("blue", "match"), ("red", "mismatch"), (None, "aborted")])
async def test_a_secret_is_checked_and_a_match_verifies_the_key(streams, connect, answer, result):
    alice, bob = await connect(ALICE), await connect(BOB)
    with pytest.raises(UserError, match="send a message first"):
        await alice.verify(BARE, "blue", "")
    await streams.send(ALICE, BARE, "one")
    async with asyncio.timeout(30):
        found, _ = await asyncio.gather(alice.verify(BARE, "blue", ""), bob.answer("alice@a.test", answer))
    assert found == result
    (key,) = await alice.fetch_keys(BARE)
    assert key.trust == {"match": "trusted", "mismatch": "undecided", "aborted": "blind"}[result]
    if result == "mismatch":
        with pytest.raises(PeerError, match="nobody has decided"):
            await streams.send(ALICE, BARE, "secret")


async def test_a_check_ends_with_the_session_or_the_stream(streams, connect):
    alice, bob = await connect(ALICE), await connect(BOB)
    await streams.send(ALICE, BARE, "one")
    checking = asyncio.create_task(alice.verify(BARE, "blue", ""))
    await asyncio.sleep(0)
    await bob.end_session("alice@a.test")
    assert await checking == "aborted"
    await streams.send(ALICE, BARE, "two", "m2")
    checking = asyncio.create_task(alice.verify(BARE, "blue", ""))
    await asyncio.sleep(0)
    await alice.close()
    with pytest.raises(PeerError, match="the stream has ended"):
        await checking
    del streams.devices[ALICE]


async def test_undecided_keys_hold_the_message_until_somebody_decides(streams, connect):
    alice, bob = await connect(ALICE, trust="undecided"), await connect(BOB)
    with pytest.raises(PeerError, match=f"nobody has decided whether to trust {BOB} {bob._client.fingerprint}"):
        await streams.send(ALICE, BARE, "secret")
    (key,) = await alice.fetch_keys(BARE)
    assert (key.fingerprint, key.trust) == (bob._client.fingerprint, "undecided")
    with pytest.raises(UserError, match="no known key"):
        await alice.set_trust(BARE, "00", "trusted")
    with pytest.raises(UserError, match="level 'full' is unknown"):
        await alice.set_trust(BARE, key.fingerprint, "full")
    await alice.set_trust(BARE, key.fingerprint, "trusted")
    await streams.send(ALICE, BARE, "secret", "m2")
    await alice.set_trust(BARE, key.fingerprint, "distrusted")
    with pytest.raises(PeerError, match="is distrusted"):
        await streams.send(ALICE, BARE, "secret", "m3")
    await streams.send(BOB, ALICE, "hello?", "m4")
    assert streams.read[0] == (BOB, "m2", "secret")
    assert streams.read[1][:2] == (ALICE, "m4") and "is distrusted" in streams.read[1][2]


async def test_after_a_verification_new_keys_wait_also_for_the_blind(streams, connect):
    alice, bob = await connect(ALICE), await connect(BOB)
    await streams.send(ALICE, BOB, "one")
    await alice.set_trust(BARE, bob._client.fingerprint, "trusted")
    await connect(LAPTOP)
    with pytest.raises(PeerError, match="nobody has decided"):
        await streams.send(ALICE, LAPTOP, "secret")


async def test_a_text_in_the_clear_offers_a_session(streams, connect):
    alice, bob = await connect(ALICE), await connect(BOB)
    plain = stanza(BARE, "hello")
    alice.offer(plain)
    assert plain.findtext(BODY) == f"hello{otr.TAG}"
    streams.put(ALICE, plain)
    await streams._queue.join()
    assert bob._peers_in_session(ALICE) == [ALICE] and alice._peers_in_session(BARE) == [BOB]
    again = stanza(BARE, "hello")
    alice.offer(again)
    assert again.findtext(BODY) == "hello", "there is a session already"


async def test_an_offer_in_a_text_and_a_message_right_behind_it_begin_one_session(streams, connect):
    """The text offers one, and the message does as well: whoever takes up the first does not take up the second."""
    await connect(ALICE)
    await connect(BOB)
    plain = stanza(BARE, "hello")
    streams.devices[ALICE].offer(plain)
    streams.put(ALICE, plain)
    async with asyncio.timeout(30):
        await streams.send(ALICE, BARE, "the secret")
    assert streams.read == [(BOB, "m1", "the secret")]
    assert sum(body.startswith("?OTR:AAMC") for body in streams.bodies()) == 1, "one D-H commit"


async def test_who_has_taken_up_an_offer_makes_none(streams, connect):
    bob = await connect(BOB)
    streams.put(ALICE, stanza(BARE, "?OTRv23?"))  # nobody answers what he sends: the keys are never exchanged
    await streams._queue.join()
    assert [body[:9] for body in streams.bodies()] == ["?OTRv23?", "?OTR:AAMC"]
    answer = stanza(ALICE, "hello")
    bob.offer(answer)
    assert answer.findtext(BODY) == "hello"
    bob._exchanging[ALICE] -= otr.ANSWER + 1
    bob.offer(answer)
    assert answer.findtext(BODY) == f"hello{otr.TAG}", "the exchange has failed"


async def test_keys_without_a_folder_live_as_long_as_the_device(otr_folder):
    memory = {}
    made = []
    for _ in range(2):
        strategy = OtrStrategy(EncryptionSettings("blind", None, memory, print, otr_folder))
        strategy.prepare(SimpleNamespace(boundjid=SimpleNamespace(bare="alice@a.test")))
        made.append(await strategy.start())
        await strategy.close()
    assert made[0] == made[1]
