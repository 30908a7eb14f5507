from lab import Federation, expect, scenario, step
from lab.federation import Device, Person

ENGINES = ("omemo", "omemo-dr")  # python-omemo, and omemo-dr, which Gajim uses


@scenario(spec="XEP-0384 0.3")
async def omemo_interoperability(federation: Federation) -> None:
    """Two implementations of OMEMO 0.3 read each other: strangers, after absence, on several devices, with new keys."""
    a, b = federation.linked_pair()

    async def write(sender: Device, to: Person, *readers: Device) -> None:
        message = await sender.send(to, federation.secret())
        expect(await message.read_by(*readers), dict.fromkeys(readers, message.text))

    for mine, other in (ENGINES, ENGINES[::-1]):
        alice, bob = await a.person("alice", encryption=mine), await b.person("bob", encryption=other)
        with step(f"{mine} begins, {other} answers, and both go on in turns and without"):
            for sender, receiver in ((alice, bob), (bob, alice), (alice, bob), (alice, bob), (bob, alice)):
                await write(sender.device, receiver, receiver.device)
            expect([await alice.compare_fingerprint(bob), await bob.compare_fingerprint(alice)], ["match", "match"])
        with step(f"a stranger with {mine} writes ten times to {other}, who is away, and reads all of it afterwards"):
            carol = await a.person("carol", encryption=mine)
            await bob.disconnect()
            sent = [await carol.send(bob, federation.secret()) for _ in range(10)]
            await bob.connect()
            for message in sent:
                expect(await message.read_by(bob.device), {bob.device: message.text})
            await write(bob.device, carol, carol.device)
        with step(f"bob's new device has {mine}: a message has a key for each of the two, and so have copies"):
            tablet = await bob.add_device("tablet", encryption=mine)
            await write(alice.device, bob, bob.device, tablet)
            await write(tablet, alice, alice.device, bob.device)
        with step("signed prekeys change, sessions are replaced: each still reads the other"):
            await bob.device.rotate_signed_prekey()
            await alice.device.replace_sessions(bob)
            await write(alice.device, bob, bob.device, tablet)
            await write(bob.device, alice, alice.device, tablet)
