from lab import Federation, expect, scenario, step
from lab.faults import replay


@scenario(spec="RFC 6120 13.1, XEP-0384", expects={"delivery": "failed"})
async def messages_replayed(federation: Federation) -> None:
    """Somebody between two servers repeats messages: plain text is read twice, OMEMO refuses the second copy."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    anna, ben = await a.person("anna", encryption="omemo"), await b.person("ben", encryption="omemo")
    async with federation.inject(replay(federation.link(a, b), direction="to")):
        plain, secret = await alice.send(bob, "pay 10"), await anna.send(ben, federation.secret())
        with step("bob is told twice"):
            await (await alice.send(bob, "behind it")).outcome()
            expect([one.text for one in (await plain.outcome()).deliveries], [plain.text] * 2)
        with step("ben's device reads the first copy, and no other one"):
            await (await anna.send(ben, federation.secret())).outcome()
            texts = [one.text for one in (await secret.outcome()).deliveries]
            expect([text for text in texts if text is not None], [secret.text])
