"""OMEMO 2, alone and beside 0.3, on real servers."""

import pytest

from lab.errors import PeerError
from tests.clients.cast import inline

pytestmark = pytest.mark.live

OMEMO, OMEMO2, BOTH = "omemo", "omemo:2", "omemo+omemo:2"
NAMESPACE = "urn:xmpp:omemo:2"
WAYS = [("a", "b"), pytest.param("b", "a", marks=pytest.mark.slow)]


@pytest.mark.parametrize(("here", "there"), WAYS)
async def test_two_devices_on_each_side_all_read_all(running_lab, here, there):
    alice, bob = await running_lab.accounts(here, there)
    devices = {"pc": alice, "tablet": alice, "phone": bob, "watch": bob}
    async with inline(running_lab) as cast:
        keys = {device: await cast.connect(device, jid, encryption=OMEMO2) for device, jid in devices.items()}
        assert (await cast.ask("devices", "pc", of=bob))["ids"] == sorted(
            keys[device]["omemo_device"] for device in ("phone", "watch")
        )
        for number, (device, jid) in enumerate([("pc", bob), ("phone", alice), ("tablet", bob), ("watch", alice)]):
            sent = await cast.send(device, jid, f"s3cret {number}", f"m{number}")
            readers = {keys[one]["omemo_device"] for one in devices.keys() - {device}}
            assert {one["device"] for one in sent.pop("keys")} == readers
            assert sent == {"stream": keys[device]["stream"], "encryption": OMEMO2, "left_out": []}
            for other in devices.keys() - {device}:
                got = await cast.hears("decrypted", other, message=f"m{number}", body=f"s3cret {number}")
                assert (got["sender_key"], got["trust"]) == (keys[device]["fingerprint"], "blind")
                assert got["encryption"] == OMEMO2
        assert not cast.said("not-decrypted")
        assert not cast.said("trouble")
        archived = (await cast.ask("archive", "phone"))["messages"]
        assert {f"m{number}" for number in range(4)} <= {each["id"] for each in archived}
        assert "s3cret" not in str(archived)
        assert all(each["encrypted"] == NAMESPACE and each["body"] is None for each in archived if each["id"][0] == "m")
        for device in ("phone", "watch"):
            await cast.ask("disconnect", device)
        await cast.send("pc", bob, "while you were away", "away")
        await cast.connect("phone", bob, encryption=OMEMO2)
        await cast.hears("decrypted", "phone", message="away", body="while you were away", via="offline")


@pytest.mark.parametrize(("here", "there"), WAYS)
async def test_each_device_is_encrypted_to_with_what_it_reads(running_lab, here, there):
    alice, bob = await running_lab.accounts(here, there)
    speaks = {"old": OMEMO, "new": OMEMO2, "both": BOTH}
    async with inline(running_lab) as cast:
        await cast.connect("pc", alice, encryption=BOTH)
        logins = {device: await cast.connect(device, bob, encryption=name) for device, name in speaks.items()}
        assert (await cast.ask("devices", "pc", of=bob))["ids"] == sorted(
            login["omemo_device"] for login in logins.values()
        )
        assert (await cast.send("pc", bob, "s3cret", "m1"))["left_out"] == []
        for device, used in (("old", OMEMO), ("new", OMEMO2), ("both", OMEMO2)):
            await cast.hears("decrypted", device, message="m1", body="s3cret", encryption=used)
        for device in speaks:
            await cast.send(device, alice, f"from {device}", device)
            used = OMEMO if device == "old" else OMEMO2
            await cast.hears("decrypted", "pc", message=device, body=f"from {device}", encryption=used)
        assert "which this device does not read" in (await cast.hears("not-decrypted", "new", message="old"))["reason"]


@pytest.mark.parametrize("host", ["a", pytest.param("b", marks=pytest.mark.slow)])
async def test_a_room_of_old_and_new(running_lab, host):
    """Each gets what it reads, and the envelope says the room."""
    people = await running_lab.accounts("a", "b", "b")
    room = f"mix-{host}@conference.{running_lab.domain(host)}"
    devices = dict(zip((BOTH, OMEMO, OMEMO2), people, strict=True))
    async with inline(running_lab) as cast:
        for device, jid in devices.items():
            await cast.connect(device, jid, encryption=device)
        await cast.ask("join", BOTH, room=room, nick=BOTH)
        await cast.ask("configure_room", BOTH, room=room, values={"muc#roomconfig_whois": "anyone"})
        for device in (OMEMO, OMEMO2):
            await cast.ask("join", device, room=room, nick=device)
        await cast.hears("presence", BOTH, **{"from": f"{room}/{OMEMO2}"})
        assert (await cast.send(BOTH, room, "s3cret", "g1", room=True))["left_out"] == []
        for device in (OMEMO, OMEMO2):
            await cast.hears("decrypted", device, message="g1", body="s3cret", encryption=device)
        with pytest.raises(PeerError, match=f"not sent: {devices[OMEMO]} has no OMEMO device"):
            await cast.send(OMEMO2, room, "s3cret", "g2", room=True)
        assert "s3cret" not in str(await cast.ask("archive", BOTH, archive=room))


async def test_what_nobody_could_read_is_not_sent(running_lab):
    alice, bob = await running_lab.accounts("a", "b")
    async with inline(running_lab) as cast:
        await cast.connect("pc", alice, encryption=OMEMO2)
        await cast.connect("phone", bob, encryption=OMEMO)
        for device, to in (("pc", bob), ("phone", alice)):
            with pytest.raises(PeerError, match="has no OMEMO device that can be encrypted to"):
                await cast.send(device, to, "s3cret", "m1")
        assert not cast.said("delivered")


async def test_undecided_keys_hold_the_message_until_somebody_decides(running_lab):
    alice, bob = await running_lab.accounts("a", "b")
    async with inline(running_lab) as cast:
        await cast.connect("pc", alice, encryption=BOTH, trust="undecided")
        theirs = await cast.connect("phone", bob, encryption=OMEMO2)
        with pytest.raises(PeerError, match=f"nobody has decided.*{theirs['fingerprint']}"):
            await cast.send("pc", bob, "s3cret", "m1")
        await cast.ask("set_trust", "pc", of=bob, fingerprint=theirs["fingerprint"], level="trusted")
        await cast.send("pc", bob, "s3cret", "m2")
        await cast.hears("decrypted", "phone", message="m2")
        assert [event["message"] for event in cast.said("delivered", "phone")] == ["m2"]
