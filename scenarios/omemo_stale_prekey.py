from lab import Federation, expect, scenario, step
from lab.faults import stale_prekey


@scenario(spec="XEP-0384 0.3 4.6, XEP-0384 5.3.2", expects={"delivery": "failed"})
async def omemo_stale_prekey(federation: Federation) -> None:
    """Bob's server gives everybody the same one-time key: he can read who comes first, and not those who come later."""
    a, b = federation.linked_pair()
    for encryption in ("omemo", "omemo:2"):
        alice, carol = [await a.person(name, encryption=encryption) for name in ("alice", "carol")]
        bob = await b.person("bob", encryption=encryption)
        async with federation.inject(stale_prekey(at=b, of=bob)):
            with step(f"{encryption}: alice begins a session, and bob's device forgets the key that she has used"):
                first = await alice.send(bob, federation.secret())
                expect([one.text for one in (await first.outcome()).deliveries], [first.text])
            with step(f"{encryption}: carol is given the same key, and is told nothing; bob's device cannot read her"):
                second = await carol.send(bob, federation.secret())
                expect([one.text for one in (await second.outcome()).deliveries], [None])
            with step(f"{encryption}: who has a session is not concerned"):
                third = await alice.send(bob, federation.secret())
                expect([one.text for one in (await third.outcome()).deliveries], [third.text])
            with step(f"{encryption}: what bob writes to carol begins another session, in which both read"):
                for sender, receiver in ((bob, carol), (carol, bob)):
                    message = await sender.send(receiver, federation.secret())
                    expect([one.text for one in (await message.outcome()).deliveries], [message.text])
