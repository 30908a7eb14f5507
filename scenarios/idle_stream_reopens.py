from lab import Federation, expect, scenario, step
from lab.faults import reset_streams


@scenario(spec="RFC 6120 4.4, 4.6")
async def idle_stream_reopens(federation: Federation) -> None:
    """Streams between servers end while nobody writes: who writes next opens a new one, and nothing is lost."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    for number in range(3):
        for sender, receiver in ((alice, bob), (bob, alice)):
            with step(f"{sender} writes to {receiver} for the {number + 1}. time"):
                message = await sender.send(receiver, "good morning")
                expect(await message.outcome(), message.promise)
        with step("the streams end in order; whoever asks next opens new ones"):
            async with federation.inject(reset_streams(federation.link(a, b), how="close")):
                await alice.ping(b)
                await bob.ping(a)
