from lab import Federation, expect, scenario, step


@scenario(spec="RFC 6121 8.5.2.2, XEP-0160")
async def offline_and_back(federation: Federation) -> None:
    """Somebody is away, then back: what was written meanwhile is handed over once, in order; what follows is live."""
    one, two = federation.linked_pair()
    for a, b in ((one, two), (two, one)):
        alice, bob = await a.person("alice"), await b.person("bob")
        await bob.disconnect()
        with step(f"alice writes from {a} to {b}, where bob is away"):
            messages = [await alice.send(bob, f"number {number}") for number in range(3)]
            expect((await messages[-1].outcome(within="1s")).deliveries, ())
        with step("bob is back: he has each of them once, in the order in which they were written"):
            await bob.connect()
            for message in messages:
                expect([one.via for one in (await message.outcome()).deliveries], ["offline"])
            ids = [message.id for message in messages]
            expect([one.id for one in bob.device.stanzas if one.id in ids], ids)
        with step("the next one is live"):
            outcome = await (await alice.send(bob, "there you are")).outcome()
            expect([one.via for one in outcome.deliveries], ["live"])
