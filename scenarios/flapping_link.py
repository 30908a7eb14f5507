import asyncio

from lab import Federation, expect, scenario, step
from lab.faults import flap


@scenario(spec="RFC 6120 10.1")
async def flapping_link(federation: Federation) -> None:
    """A link comes and goes: each message arrives once, in order, some of them late."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    sent = []
    await alice.ping(b)
    async with federation.inject(flap(federation.link(a, b), down="1s", up="1s")):
        with step("both write every 300 ms while the link is cut for a second, again and again"):
            for number in range(20):
                for sender, receiver in ((alice, bob), (bob, alice)):
                    sent.append((federation.history.now(), await sender.send(receiver, f"number {number}")))
                await asyncio.sleep(0.3)
    with step("all have arrived, and some of each had to wait"):
        late = set()
        for began, message in sent:
            outcome = await message.outcome()
            expect(outcome, message.promise)
            if outcome.deliveries[0].at - began > 0.3:
                late.add(message.sender)
        expect(late, {alice, bob})
