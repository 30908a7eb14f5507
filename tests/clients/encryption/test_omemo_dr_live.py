"""omemo-dr on real servers, beside python-omemo: rooms, a new process with the same keys, devices that are removed."""

import pytest

from lab.clients.remote import Agent
from tests.clients.cast import Cast, inline

pytest.importorskip("omemo_dr", reason="omemo-dr is not installed: make omemo-dr")
pytestmark = [pytest.mark.live, pytest.mark.slow]

ENGINES = ("omemo-dr", "omemo", "omemo-dr")


@pytest.mark.parametrize("host", ["b", "c"])
async def test_a_room_of_both(running_lab, host):
    people = await running_lab.accounts(host, "a", "b")
    room = f"both-{host}@conference.{running_lab.domain(host)}"
    async with inline(running_lab) as cast:
        for number, (jid, engine) in enumerate(zip(people, ENGINES, strict=True)):
            await cast.connect(f"d{number}", jid, encryption=engine)
        await cast.ask("join", "d0", room=room, nick="n0")
        await cast.ask("configure_room", "d0", room=room, values={"muc#roomconfig_whois": "anyone"})
        for number in (1, 2):
            await cast.ask("join", f"d{number}", room=room, nick=f"n{number}")
        await cast.hears("presence", "d1", **{"from": f"{room}/n2"})
        for sender in range(3):
            sent = await cast.send(f"d{sender}", room, f"s3cret {sender}", f"g{sender}", room=True)
            assert sent["left_out"] == [] and len(sent["keys"]) == 2
            for number in {0, 1, 2} - {sender}:
                await cast.hears("decrypted", f"d{number}", message=f"g{sender}", body=f"s3cret {sender}")
        assert not cast.said("not-decrypted") and not cast.said("trouble")
        assert "s3cret" not in str(await cast.ask("archive", "d0", archive=room))


@pytest.mark.parametrize("there", ["b", "c"])
async def test_a_new_agent_process_goes_on_with_the_same_keys(running_lab, there, tmp_path):
    alice, bob = await running_lab.accounts("a", there)
    folder, fingerprints = str(tmp_path / "keys"), set()
    async with inline(running_lab) as cast:
        await cast.connect("pc", alice, encryption="omemo")
        for turn in range(2):
            pipes = await running_lab.lab.start_agent()
            other = Cast(Agent(pipes.reader, pipes.writer, close=pipes.close), running_lab)
            try:
                login = await other.connect("phone", bob, encryption="omemo-dr", folder=folder)
                fingerprints.add(login["fingerprint"])
                missed = [event["message"] for event in other.said("decrypted", "phone")]
                assert missed == [f"away{turn - 1}-{number}" for number in range(5 * turn)]
                await cast.send("pc", bob, f"turn {turn}", f"m{turn}")
                await other.hears("decrypted", "phone", message=f"m{turn}", body=f"turn {turn}")
                await other.send("phone", alice, "yes", f"r{turn}")
                await cast.hears("decrypted", "pc", message=f"r{turn}")
                assert not other.said("not-decrypted") and not other.said("trouble")
            finally:
                await other.agent.close()
            for number in range(5):
                await cast.send("pc", bob, "while you were away", f"away{turn}-{number}")
            await cast.ask("ping", "pc", to=running_lab.domain(there))
    assert len(fingerprints) == 1
    assert (tmp_path / "keys" / "omemo-dr.json").stat().st_mode & 0o777 == 0o600


async def test_a_device_is_removed_and_a_lost_bundle_is_published_again(running_lab):
    alice, bob = await running_lab.accounts("a", "c")
    async with inline(running_lab) as cast:
        await cast.connect("pc", alice, encryption="omemo")
        phone = await cast.connect("phone", bob, encryption="omemo-dr")
        watch = await cast.connect("watch", bob, encryption="omemo")
        ids = sorted((phone["omemo_device"], watch["omemo_device"]))
        assert (await cast.ask("devices", "pc", of=bob))["ids"] == ids
        await cast.ask("disconnect", "watch")  # one that is online puts itself on the list again
        await cast.ask("remove_device", "phone", omemo_device=watch["omemo_device"])
        assert (await cast.ask("devices", "pc", of=bob))["ids"] == [phone["omemo_device"]]
        node = f"eu.siacs.conversations.axolotl.bundles:{phone['omemo_device']}"
        query = f"<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><delete node='{node}'/></pubsub>"
        await cast.ask("iq", "phone", xml=f"<iq type='set'>{query}</iq>")
        await cast.ask("disconnect", "phone")
        assert (await cast.connect("phone", bob, encryption="omemo-dr"))["fingerprint"] == phone["fingerprint"]
        await cast.send("pc", bob, "hello", "m1")
        await cast.hears("decrypted", "phone", message="m1", body="hello")
