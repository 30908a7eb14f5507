from lab import Federation, expect, scenario, step

ENCRYPTIONS = ("plain", "otr", "omemo", "omemo:2")


@scenario(spec="XEP-0384 14, XEP-0420", encryptions=["otr"])
async def what_remains_visible(federation: Federation) -> None:
    """The same talk without encryption, with OTR, OMEMO 0.3 and OMEMO 2: compare what servers learn of each."""
    a, b = federation.linked_pair()
    for encryption in ENCRYPTIONS:
        alice, bob = await a.person(encryption=encryption), await b.person(encryption=encryption)
        with step(f"{encryption}: she types and writes, his device confirms, he has read it and answers"):
            text = "hello" if encryption == "plain" else federation.secret()
            await alice.device.chat_state(bob, "composing")
            message = await alice.send(bob, text, receipt=True)
            expect(await message.outcome(), message.promise)
            await message.acknowledged(within="30s")
            await bob.device.mark(message)
            answer = await bob.send(alice, "well" if encryption == "plain" else federation.secret())
            expect(await answer.outcome(), answer.promise)
