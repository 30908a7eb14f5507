from lab import Federation, expect, scenario, step
from lab.faults import modify_ciphertext


@scenario(spec="XEP-0384, XEP-0184, OTR v3", expects={"delivery": "failed"}, encryptions=["otr"])
async def ciphertext_modified(federation: Federation) -> None:
    """Somebody between two servers changes ciphertext: bob cannot read it; only with OMEMO 2 alice is told, too."""
    a, b = federation.linked_pair()
    for encryption, receipts in (("omemo", 1), ("omemo:2", 0), ("otr", 1)):
        alice, bob = await a.person("alice", encryption=encryption), await b.person("bob", encryption=encryption)
        with step(f"{encryption}: untouched, bob reads what alice writes"):
            before = await alice.send(bob, federation.secret())
            expect([one.text for one in (await before.outcome()).deliveries], [before.text])
        async with federation.inject(modify_ciphertext(federation.link(a, b), direction="to")):
            with step(f"{encryption}: one letter of the ciphertext is changed, and bob's device shows no text at all"):
                changed = await alice.send(bob, federation.secret(), receipt=True)
                expect([one.text for one in (await changed.outcome()).deliveries], [None])
            with step(f"{encryption}: it is {'confirmed all the same' if receipts else 'not confirmed'}"):
                await bob.ping(a)  # a receipt would have gone before
                expect(len(changed.receipts), receipts)
