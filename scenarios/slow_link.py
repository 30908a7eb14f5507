from lab import Federation, expect, scenario, step
from lab.faults import conditions


@scenario(spec="RFC 6120 10.1")
async def slow_link(federation: Federation) -> None:
    """A link becomes slow and narrow: everything arrives later, nothing is lost, and the order stays."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    async with federation.inject(conditions(federation.link(a, b), latency="600ms", jitter="50ms", rate="64kbit/s")):
        for sender, receiver in ((alice, bob), (bob, alice)):
            with step(f"{sender} writes ten messages to {receiver}, who has them in order, not at once"):
                began = federation.history.now()
                messages = [await sender.send(receiver, f"number {number}") for number in range(10)]
                for message in messages:
                    outcome = await message.outcome()
                    expect(outcome, message.promise)
                    expect(outcome.deliveries[0].at - began > 0.3, True)
                ids = [message.id for message in messages]
                expect([one.id for one in receiver.device.stanzas if one.id in ids], ids)
    with step("the link is as before, and carries"):
        message = await alice.send(bob, "afterwards")
        expect(await message.outcome(), message.promise)
