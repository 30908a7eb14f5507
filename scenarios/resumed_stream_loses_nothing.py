from lab import Federation, expect, scenario, step
from lab.faults import client


@scenario(spec="XEP-0198 5")
async def resumed_stream_loses_nothing(federation: Federation) -> None:
    """A device loses its connection with messages under way and resumes its stream: it has each once, in order."""
    one, two = federation.linked_pair()
    for a, b in ((one, two), (two, one)):
        alice, bob = await a.person("alice"), await b.person("bob", resumable=True)
        with step("bob's device has a message that it has not acknowledged"):
            await bob.device.delay_acknowledgements(by="10min")
            messages = [await alice.send(bob, "before")]
            expect(await messages[0].outcome(), messages[0].promise)
        async with federation.inject(client(bob.device)):
            with step("his connection is lost, and alice goes on writing"):
                messages += [await alice.send(bob, f"during, number {number}") for number in range(3)]
                expect((await messages[-1].outcome(within="1s")).settled, False)
        with step("the stream is resumed: he has each message once, in the order in which they were written"):
            for message in messages:
                expect(await message.outcome(), message.promise)
            ids = [message.id for message in messages]
            expect([one.id for one in bob.device.stanzas if one.id in ids], ids)
        with step("he answers on it"):
            answer = await bob.send(alice, "I have them all")
            expect(await answer.outcome(), answer.promise)
