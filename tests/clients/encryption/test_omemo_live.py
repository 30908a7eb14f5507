"""OMEMO between real servers, Prosody and ejabberd in every combination."""

import asyncio
from xml.etree import ElementTree as ET

import pytest

from lab.clients.encryption.key_store import FILE
from lab.clients.remote import Agent
from lab.declarations.encryptions.omemo import DECLARATION
from lab.errors import PeerError, UserError
from tests.clients.cast import Cast, inline

OMEMO = DECLARATION.namespace
pytestmark = pytest.mark.live

BOTH = [("a", "b"), ("a", "c"), ("c", "b")]


async def omemo(cast, device, jid, **fields):
    return await cast.connect(device, jid, encryption="omemo", **fields)


def opened(cast, device):
    return [(event["message"], event["body"]) for event in cast.said("decrypted", device)]


@pytest.mark.parametrize(("here", "there"), BOTH)
async def test_first_contact(running_lab, here, there):
    alice, bob = await running_lab.accounts(here, there)
    async with inline(running_lab) as cast:
        mine, theirs = await omemo(cast, "pc", alice), await omemo(cast, "phone", bob)
        assert (await cast.ask("devices", "pc", of=bob))["ids"] == [theirs["omemo_device"]]
        assert await cast.send("pc", bob, "s3cret", "m1") == {
            "stream": mine["stream"], "encryption": "omemo", "left_out": [],
            "keys": [{"owner": bob, "device": theirs["omemo_device"]}],
        }  # fmt: skip
        got = await cast.hears("decrypted", "phone", message="m1")
        assert (got["body"], got["sender_key"], got["trust"]) == ("s3cret", mine["fingerprint"], "blind")
        assert (await cast.hears("delivered", "phone", message="m1"))["encrypted"] == OMEMO
        await cast.send("phone", alice, "s3cret too", "m2")
        await cast.hears("decrypted", "pc", message="m2", body="s3cret too", sender_key=theirs["fingerprint"])
        for device in ("pc", "phone"):
            archived = (await cast.ask("archive", device))["messages"]
            assert {"m1", "m2"} <= {each["id"] for each in archived}
            assert "s3cret" not in str(archived)
        assert not cast.said("trouble")
        assert not cast.said("not-decrypted")


@pytest.mark.parametrize(("here", "there"), BOTH)
async def test_two_devices_on_each_side_all_read_all(running_lab, here, there):
    alice, bob = await running_lab.accounts(here, there)
    devices = {"pc": alice, "tablet": alice, "phone": bob, "watch": bob}
    async with inline(running_lab) as cast:
        for device, jid in devices.items():
            await omemo(cast, device, jid)
        for number, (device, jid) in enumerate([("pc", bob), ("phone", alice), ("tablet", bob), ("watch", alice)]):
            sent = await cast.send(device, jid, f"text {number}", f"m{number}")
            assert sent["left_out"] == []
            for other in devices.keys() - {device}:
                await cast.hears("decrypted", other, message=f"m{number}", body=f"text {number}")
        assert not cast.said("not-decrypted")
        assert not cast.said("trouble")


async def test_a_device_that_comes_later_is_encrypted_for_at_once(running_lab):
    alice, bob = await running_lab.accounts("a", "b")
    async with inline(running_lab) as cast:
        await omemo(cast, "pc", alice)
        await omemo(cast, "phone", bob)
        await cast.send("pc", bob, "one", "m1")
        await omemo(cast, "watch", bob)
        await cast.send("pc", bob, "two", "m2")
        await cast.hears("decrypted", "watch", message="m2", body="two")
        assert opened(cast, "watch") == [("m2", "two")]


async def test_omemo_2_is_neither_announced_nor_published(running_lab):
    alice, bob = await running_lab.accounts("a", "b")
    info = "<iq type='get' to='{}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    nodes = "<iq type='get' to='{}'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>"
    async with inline(running_lab) as cast:
        await omemo(cast, "pc", alice)
        mine = await omemo(cast, "phone", bob)
        said = (await cast.ask("iq", "pc", xml=info.format(mine["jid"])))["xml"]
        assert f"{OMEMO}.devicelist+notify" in said
        listed = (await cast.ask("iq", "phone", xml=nodes.format(bob)))["xml"]
        assert f"{OMEMO}.devicelist" in listed
        for text in (said, listed):
            assert "urn:xmpp:omemo:2" not in text
        for node in ("urn:xmpp:omemo:2:devices", "urn:xmpp:omemo:2:bundles"):
            query = f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{node}'/></pubsub>"
            got = (await cast.ask("iq", "pc", xml=f"<iq type='get' to='{bob}'>{query}</iq>"))["xml"]
            assert "item-not-found" in got


async def test_what_cannot_be_encrypted_is_not_sent(running_lab):
    alice, bob, carol = await running_lab.accounts("a", "b", "b")
    async with inline(running_lab) as cast:
        await omemo(cast, "pc", alice)
        await cast.connect("phone", bob)
        with pytest.raises(PeerError, match="has no OMEMO device"):
            await cast.send("pc", bob, "s3cret", "m1")
        with pytest.raises(PeerError, match=r"not-allowed|remote-server-not-found"):
            await cast.send("pc", "x@nowhere.test", "s3cret", "m2")
        with pytest.raises(UserError, match="connect another one"):
            await cast.send("phone", alice, "s3cret", "m3", encryption="omemo")
        await cast.send("pc", bob, "in the clear, as asked", "m4", encryption="plain")
        await cast.hears("delivered", "phone", message="m4")
        assert [event["message"] for event in cast.said("delivered", "phone")] == ["m4"]
        await cast.ask("disconnect", "phone")
        await omemo(cast, "phone", bob)  # what failed is not remembered
        await cast.send("pc", bob, "now", "m5")
        await cast.hears("decrypted", "phone", message="m5")
        await omemo(cast, "other", carol)


async def test_who_is_left_out_of_a_message_is_named_with_the_reason(running_lab):
    """A key that its sender distrusts, and a device that has published no keys: the others get the message."""
    alice, bob = await running_lab.accounts("a", "b")
    async with inline(running_lab) as cast:
        await omemo(cast, "pc", alice)
        phone, watch = [await omemo(cast, name, bob) for name in ("phone", "watch")]
        await cast.ask("devices", "pc", of=bob)
        for device, level in ((phone, "trusted"), (watch, "distrusted")):
            await cast.ask("set_trust", "pc", of=bob, fingerprint=device["fingerprint"], level=level)
        devices = "".join(f"<device id='{one}'/>" for one in (phone["omemo_device"], watch["omemo_device"], 4711))
        node = f"<publish node='{OMEMO}.devicelist'><item id='current'><list xmlns='{OMEMO}'>{devices}</list></item>"
        query = f"<pubsub xmlns='http://jabber.org/protocol/pubsub'>{node}</publish></pubsub>"
        assert 'type="result"' in (await cast.ask("iq", "phone", xml=f"<iq type='set'>{query}</iq>"))["xml"]
        sent = await cast.send("pc", bob, "s3cret", "m1")
        found = {one["device"]: (one["published"], one["excluded"]) for one in sent["left_out"]}
        assert found == {watch["omemo_device"]: (True, True), 4711: (False, False)}
        assert all(one["reason"] and one["owner"] == bob for one in sent["left_out"])
        await cast.hears("decrypted", "phone", message="m1", body="s3cret")


async def test_undecided_keys_hold_the_message_until_somebody_decides(running_lab):
    alice, bob = await running_lab.accounts("a", "b")
    async with inline(running_lab) as cast:
        await omemo(cast, "pc", alice, trust="undecided")
        theirs = await omemo(cast, "phone", bob)
        with pytest.raises(PeerError, match=f"nobody has decided.*{theirs['fingerprint']}"):
            await cast.send("pc", bob, "s3cret", "m1")
        known = (await cast.ask("fingerprints", "pc", of=bob))["devices"]
        assert known == [{"id": theirs["omemo_device"], "fingerprint": theirs["fingerprint"], "trust": "undecided"}]
        with pytest.raises(UserError, match="no known key"):
            await cast.ask("set_trust", "pc", of=bob, fingerprint="00", level="trusted")
        await cast.ask("set_trust", "pc", of=bob, fingerprint=theirs["fingerprint"], level="trusted")
        await cast.send("pc", bob, "s3cret", "m2")
        await cast.hears("decrypted", "phone", message="m2")
        await cast.ask("set_trust", "pc", of=bob, fingerprint=theirs["fingerprint"], level="distrusted")
        with pytest.raises(PeerError, match="has no OMEMO device that can be encrypted to"):
            await cast.send("pc", bob, "s3cret", "m3")
        await cast.send("phone", alice, "hello?", "m4", encryption="omemo")
        assert "distrusted" in (await cast.hears("not-decrypted", "pc", message="m4"))["reason"]
        assert [event["message"] for event in cast.said("delivered", "phone")] == ["m2"]


async def test_after_a_verification_new_keys_wait_also_for_the_blind(running_lab):
    alice, bob = await running_lab.accounts("a", "b")
    async with inline(running_lab) as cast:
        await omemo(cast, "pc", alice)
        theirs = await omemo(cast, "phone", bob)
        await cast.ask("devices", "pc", of=bob)
        await cast.ask("set_trust", "pc", of=bob, fingerprint=theirs["fingerprint"], level="trusted")
        await omemo(cast, "phantom", bob)
        with pytest.raises(PeerError, match="nobody has decided"):
            await cast.send("pc", bob, "s3cret", "m1")


@pytest.mark.parametrize("there", ["b", "c"])
async def test_a_new_agent_process_goes_on_with_the_same_keys(running_lab, there, tmp_path):
    alice, bob = await running_lab.accounts("a", there)
    folder = str(tmp_path / "keys")
    async with inline(running_lab) as cast:
        await omemo(cast, "pc", alice)
        fingerprints = []
        for turn in range(2):
            pipes = await running_lab.lab.start_agent()
            other = Cast(Agent(pipes.reader, pipes.writer, close=pipes.close), running_lab)
            try:
                login = await omemo(other, "phone", bob, folder=folder)
                fingerprints.append(login["fingerprint"])
                if turn:
                    missed = opened(other, "phone")
                    assert missed == [(f"away{turn - 1}-{n}", "while you were away") for n in range(5)]
                await cast.send("pc", bob, f"turn {turn}", f"m{turn}")
                await other.hears("decrypted", "phone", message=f"m{turn}", body=f"turn {turn}")
                await other.send("phone", alice, "yes", f"r{turn}")
                await cast.hears("decrypted", "pc", message=f"r{turn}")
                assert not other.said("not-decrypted")
                assert not other.said("trouble")
            finally:
                await other.agent.close()
            for number in range(5):
                await cast.send("pc", bob, "while you were away", f"away{turn}-{number}")
            await cast.ask("ping", "pc", to=running_lab.domain(there))
        assert len(set(fingerprints)) == 1
        assert (tmp_path / "keys" / FILE).stat().st_mode & 0o777 == 0o600


async def test_a_lost_bundle_is_published_again_at_the_next_login(running_lab):
    alice, bob = await running_lab.accounts("a", "b")
    async with inline(running_lab) as cast:
        await omemo(cast, "pc", alice)
        mine = await omemo(cast, "phone", bob)
        for node in (f"{OMEMO}.devicelist", f"{OMEMO}.bundles:{mine['omemo_device']}"):
            query = f"<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><delete node='{node}'/></pubsub>"
            await cast.ask("iq", "phone", xml=f"<iq type='set'>{query}</iq>")
        with pytest.raises(PeerError, match="has no OMEMO device"):
            await cast.send("pc", bob, "x", "m1")
        await cast.ask("disconnect", "phone")
        assert (await omemo(cast, "phone", bob))["fingerprint"] == mine["fingerprint"]
        await cast.send("pc", bob, "x", "m2")
        await cast.hears("decrypted", "phone", message="m2")


async def test_a_node_with_other_options_is_configured_anew(running_lab):
    alice, bob = await running_lab.accounts("a", "b")
    form = (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>"
        "http://jabber.org/protocol/pubsub#publish-options</value></field>"
        "<field var='pubsub#access_model'><value>whitelist</value></field></x>"
    )
    query = (
        f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{OMEMO}.devicelist'><item id='current'>"
        f"<list xmlns='{OMEMO}'/></item></publish><publish-options>{form}</publish-options></pubsub>"
    )
    async with inline(running_lab) as cast:
        await cast.connect("phone", bob)
        answer = ET.fromstring((await cast.ask("iq", "phone", xml=f"<iq type='set'>{query}</iq>"))["xml"])
        assert answer.get("type") == "result"
        await cast.ask("disconnect", "phone")
        await omemo(cast, "phone", bob)
        await omemo(cast, "pc", alice)
        await cast.send("pc", bob, "x", "m1")
        await cast.hears("decrypted", "phone", message="m1")


@pytest.mark.parametrize("host", ["b", "c"])
async def test_a_room_where_everybody_knows_everybody(running_lab, host):
    people = await running_lab.accounts(host, "a", "b")
    room = f"secret-{host}@conference.{running_lab.domain(host)}"
    async with inline(running_lab) as cast:
        for number, jid in enumerate(people):
            await omemo(cast, f"d{number}", jid)
        await cast.ask("join", "d0", room=room, nick="n0")
        await cast.ask("join", "d1", room=room, nick="n1")
        await cast.hears("presence", "d0", **{"from": f"{room}/n1"})
        for number in (0, 1):  # the owner sees who is there, and refuses as well
            with pytest.raises(PeerError, match=f"not sent: room {room} is semi-anonymous"):
                await cast.send(f"d{number}", room, "s3cret", "g0", room=True)
        await cast.ask("configure_room", "d0", room=room, values={"muc#roomconfig_whois": "anyone"})
        await cast.ask("leave", "d1", room=room, nick="n1")
        for number in (1, 2):
            await cast.ask("join", f"d{number}", room=room, nick=f"n{number}")
        await cast.hears("presence", "d1", **{"from": f"{room}/n2"})
        sent = await cast.send("d1", room, "s3cret", "g1", room=True)
        assert sent["left_out"] == []
        for number in (0, 2):
            await cast.hears("decrypted", f"d{number}", message="g1", body="s3cret")
        await cast.hears("delivered", "d1", message="g1")
        assert not cast.said("not-decrypted")
        assert "s3cret" not in str(await cast.ask("archive", "d0", archive=room))


async def test_many_messages_at_once_are_opened_in_order(running_lab):
    alice, bob = await running_lab.accounts("a", "b")
    async with inline(running_lab) as cast:
        await omemo(cast, "pc", alice)
        await omemo(cast, "phone", bob)
        await asyncio.gather(*(cast.send("pc", bob, f"text {n}", f"m{n}") for n in range(30)))
        await cast.hears("decrypted", "phone", message="m29")
        assert opened(cast, "phone") == [(f"m{n}", f"text {n}") for n in range(30)]


@pytest.mark.parametrize(("here", "there"), BOTH)
async def test_first_messages_that_cross_and_all_that_follow_are_read(running_lab, here, there):
    alice, bob = await running_lab.accounts(here, there)
    async with inline(running_lab) as cast:
        await omemo(cast, "pc", alice)
        await omemo(cast, "phone", bob)
        for turn in range(4):
            await asyncio.gather(
                cast.send("pc", bob, f"hers {turn}", f"h{turn}"), cast.send("phone", alice, f"his {turn}", f"b{turn}")
            )
            await cast.hears("decrypted", "phone", message=f"h{turn}", body=f"hers {turn}")
            await cast.hears("decrypted", "pc", message=f"b{turn}", body=f"his {turn}")
        assert not cast.said("not-decrypted")
        assert not cast.said("trouble")
