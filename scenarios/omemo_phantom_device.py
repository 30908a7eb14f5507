from lab import Federation, PeerError, expect, scenario, step
from lab.faults import phantom_device


@scenario(spec="XEP-0384", expects={"secrecy": "failed"})
async def omemo_phantom_device(federation: Federation) -> None:
    """Bob's server lists a device of its own as his: blind trust writes to it, who has verified his key does not."""
    a, b = federation.linked_pair()
    for encryption in ("omemo", "omemo:2"):
        alice = await a.person("alice", encryption=encryption, trust="blind")
        carol = await a.person("carol", encryption=encryption, trust="blind")
        bob = await b.person("bob", encryption=encryption)
        with step(f"{encryption}: carol compares bob's fingerprint before the attack"):
            await (await carol.send(bob, federation.secret())).outcome()
            expect(await carol.compare_fingerprint(bob), "match")
            for fingerprint in (await carol.fingerprints(bob)).values():
                await carol.set_trust(bob, fingerprint, "trusted")
        async with federation.inject(phantom_device(at=b, of=bob)) as phantom:
            with step(f"{encryption}: alice trusts blindly: bob reads it, and so does his server"):
                message = await alice.send(bob, federation.secret())
                expect(await phantom.decrypts(message), True)
                expect([one.text for one in (await message.outcome()).deliveries], [message.text])
                expect(await alice.compare_fingerprint(bob), "mismatch")
            with step(f"{encryption}: carol's device sends nothing before she decides on the new key"):
                try:
                    await carol.send(bob, federation.secret())
                    refused = ""
                except PeerError as error:
                    refused = str(error)
                expect("nobody has decided whether to trust" in refused, True)
