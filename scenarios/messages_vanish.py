from lab import Federation, expect, scenario, step
from lab.faults import drop_stanzas


@scenario(spec="RFC 6120 13.1, XEP-0198, XEP-0184", expects={"delivery": "failed"})
async def messages_vanish(federation: Federation) -> None:
    """Somebody between two servers lets every third message vanish: neither server notices, a missing receipt tells."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    async with federation.inject(drop_stanzas(federation.link(a, b), direction="to", nth=3)):
        with step("alice writes three times and asks for receipts"):
            messages = [await alice.send(bob, f"message {number}", receipt=True) for number in (1, 2, 3)]
            for message in messages[:2]:
                await message.acknowledged()
        with step("the third one neither arrives nor bounces, and nobody acknowledges it"):
            outcome = await messages[2].outcome(within="5s")
            expect([outcome.deliveries, outcome.bounces, tuple(messages[2].receipts)], [(), (), ()])
    with step("without the attacker the next one arrives on the same streams"):
        after = await alice.send(bob, "afterwards", receipt=True)
        await after.acknowledged()
