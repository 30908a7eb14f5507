from lab import Federation, expect, scenario, step
from lab.faults import reorder


@scenario(spec="RFC 6120 10.1, XEP-0384, OTR v3", expects={"delivery": "failed"}, encryptions=["otr"])
async def messages_reordered(federation: Federation) -> None:
    """Somebody between two servers lets messages change places: with OMEMO nobody is told, OTR refuses the late one."""
    a, b = federation.linked_pair()
    for encryption in ("plain", "omemo", "omemo:2", "otr"):
        alice, bob = await a.person("alice", encryption=encryption), await b.person("bob", encryption=encryption)
        await (await alice.send(bob, "hello")).outcome()
        async with federation.inject(reorder(federation.link(a, b), direction="to", element="")):
            with step(f"{encryption}: alice says what not to do, then why"):
                first, second = [await alice.send(bob, text) for text in ("Do not pay!", "He has paid already.")]
                late, early = [(await message.outcome()).deliveries[0] for message in (first, second)]
                expect(early.at < late.at, True)
            with step(f"{encryption}: bob's device shows {'one of the two' if encryption == 'otr' else 'both'}"):
                expect([early.text, late.text], [second.text, None if encryption == "otr" else first.text])
