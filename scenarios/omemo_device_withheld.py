from lab import Federation, expect, scenario, step
from lab.faults import withhold_device_list


@scenario(spec="XEP-0384 0.3 4.2, XEP-0163", expects={"delivery": "failed"})
async def omemo_device_withheld(federation: Federation) -> None:
    """Bob's server hands out an old device list: alice is not told, and his new device cannot read what she writes."""
    a, b = federation.linked_pair()
    for encryption in ("omemo", "omemo:2"):
        alice, bob = await a.person("alice", encryption=encryption), await b.person("bob", encryption=encryption)
        phone, tablet = bob.device, await bob.add_device("tablet")
        async with federation.inject(withhold_device_list(at=b, of=bob, device=tablet)):
            with step(f"{encryption}: alice encrypts for bob's first device alone, and is told that it has arrived"):
                message = await alice.send(bob, federation.secret(), receipt=True)
                expect(message.encrypted_for, {phone.omemo_device})
                expect((await message.acknowledged()).device, phone.jid)
            with step(f"{encryption}: bob's tablet gets what it has no key for: he notices, if he looks at it"):
                expect(await message.read_by(phone, tablet), {phone: message.text, tablet: None})
            with step(f"{encryption}: the fingerprints that alice has are right, and one is missing"):
                expect(await alice.compare_fingerprint(bob), "match")
                expect(set((await alice.fingerprints(bob)).values()), {phone.fingerprint})
        with step(f"{encryption}: once the server is honest again, both read"):
            after = await alice.send(bob, federation.secret())
            expect(await after.read_by(phone, tablet), dict.fromkeys((phone, tablet), after.text))
