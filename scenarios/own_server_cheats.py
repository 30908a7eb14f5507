from lab import Federation, expect, scenario, step
from lab.faults import drop_stanzas, strip_encryption


@scenario(spec="XEP-0384, XEP-0184", expects={"delivery": "failed", "integrity": "failed"})
async def own_server_cheats(federation: Federation) -> None:
    """Alice's own server takes her ciphertext away, then her messages: only bob's client, or a receipt, can tell."""
    a, b = federation.linked_pair()
    alice = await a.person("alice", encryption="omemo")
    bob = await b.person("bob", encryption="omemo")
    with step("untouched, alice reads what bob writes"):
        before = await bob.send(alice, federation.secret())
        expect([one.text for one in (await before.outcome()).deliveries], [before.text])
    async with federation.inject(strip_encryption(alice.device, direction="to")):
        with step("without its ciphertext the message arrives in plain and as another text: bob notices"):
            stripped = await alice.send(bob, federation.secret())
            (delivery,) = (await stripped.outcome()).deliveries
            expect([delivery.encryption, delivery.text == stripped.text], ["plain", False])
    async with federation.inject(drop_stanzas(alice.device, direction="to")):
        with step("a message vanishes, and her server acknowledges it: alice notices by the receipt that is missing"):
            lost = await alice.send(bob, federation.secret(), receipt=True)
            outcome = await lost.outcome(within="5s")
            expect([outcome.deliveries, outcome.bounces, tuple(lost.receipts)], [(), (), ()])
    with step("once it is honest again, on the same stream, bob reads what she writes"):
        after = await alice.send(bob, federation.secret(), receipt=True)
        await after.acknowledged()
