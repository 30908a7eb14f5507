from lab import Federation, expect, scenario, step
from lab.faults import partition


@scenario(spec="RFC 6120 8.3.3, 10.1")
async def partition_and_heal(federation: Federation) -> None:
    """A server is cut from the others: messages wait or are returned, and when it is over everybody writes again."""
    host = federation.hub()
    near, *far = [await server.person() for server in (host, *host.neighbours)]
    pairs = [pair for person in far for pair in ((near, person), (person, near))]
    for sender, receiver in pairs:  # the streams are open
        await sender.ping(receiver.server)
    async with federation.inject(partition([host], how="blackhole")):
        with step("no byte passes: messages wait"):
            messages = [await sender.send(receiver, "are you there?") for sender, receiver in pairs]
            expect((await messages[0].outcome(within="2s")).settled, False)
            expect([message.deliveries for message in messages], [[] for _ in messages])
    with step("it is over: each of them arrives"):
        for message in messages:
            expect(await message.outcome(within="60s"), message.promise)
    async with federation.inject(partition([host], how="reset")):
        with step("connections are reset: once a server has noticed, it returns what it cannot send"):
            for sender, receiver in pairs:
                await sender.ping(receiver.server, reached=False)
                outcome = await (await sender.send(receiver, "and now?")).outcome(within="60s")
                expect((len(outcome.deliveries), len(outcome.bounces)), (0, 1))
    with step("it is over: all write to each other again"):
        for sender, receiver in pairs:
            await sender.ping(receiver.server)
        for message in [await sender.send(receiver, "again") for sender, receiver in pairs]:
            expect(await message.outcome(), message.promise)
