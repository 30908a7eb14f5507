from lab import Federation, expect, scenario, step
from lab.faults import drop_stanzas

LIST = "eu.siacs.conversations.axolotl.devicelist"


@scenario(spec="XEP-0384 0.3 4.2, XEP-0163 4.3")
async def omemo_list_push_lost(federation: Federation) -> None:
    """Nobody tells bob of alice's new device: when it writes he asks for her devices, and reads it."""
    for here, there in (pair := federation.linked_pair(), pair[::-1]):
        alice, bob = await here.person("alice", encryption="omemo"), await there.person("bob", encryption="omemo")
        await federation.befriend(alice, bob)
        with step(f"alice on {here} and bob on {there} write to each other"):
            for sender, receiver in ((alice, bob), (bob, alice)):
                expect(str(await sender.attempt(receiver, federation.secret())), "read (omemo)")
        link = federation.link(here, there)
        async with federation.inject(drop_stanzas(link, direction="to", element="event")):
            with step("alice buys a laptop: the notification of her new device list is lost on the way"):
                laptop = await alice.add_device("laptop")
                before = len(bob.device.stanzas)
            with step("the laptop writes: bob does not know it, fetches her device list, and reads it"):
                message = await laptop.send(bob, federation.secret())
                expect(await message.read_by(bob.device), {bob.device: message.text})
                since = bob.device.stanzas[before:]
                expect([one.name for one in since if "#event" in one.xml and LIST in one.xml], [])
                asked = [one for one in since if one.direction == "out" and one.receiver == alice.jid]
                expect(any(one.name == "iq" and LIST in one.xml for one in asked), True)
        with step("what bob writes both of her devices read"):
            answer = await bob.send(alice, federation.secret())
            expect(await answer.read_by(*alice.devices), dict.fromkeys(alice.devices, answer.text))
