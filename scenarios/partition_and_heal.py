from lab import Federation, expect, scenario, step
from lab.faults import partition


@scenario(spec="RFC 6120 8.3.3, 10.1")
async def partition_and_heal(federation: Federation) -> None:
    """A server is cut from the others: messages wait or are returned, and when it is over everybody writes again."""
    host = federation.hub()
    near, *far = [await server.person() for server in (host, *host.neighbours)]
    pairs = [pair for person in far for pair in ((near, person), (person, near))]
    for how in ("blackhole", "reset"):
        for sender, receiver in pairs:  # the streams are open
            await sender.ping(receiver.server)
        async with federation.inject(partition([host], how=how)):
            with step(f"{how}: nothing passes"):
                messages = [await sender.send(receiver, how) for sender, receiver in pairs]
                if how == "blackhole":  # after a reset, servers return what they cannot send
                    expect((await messages[0].outcome(within="2s")).settled, False)
                for message in messages:
                    expect((await message.outcome(within="0s" if how == "blackhole" else "60s")).deliveries, ())
        with step(f"{how} is over: each message was delivered or returned"):
            for message in messages:
                outcome = await message.outcome(within="60s")
                expect((len(outcome.deliveries), len(outcome.bounces)), (1, 0) if how == "blackhole" else (0, 1))
        with step("all write to each other again"):
            for sender, receiver in pairs:
                await sender.ping(receiver.server)
            for message in [await sender.send(receiver, "again") for sender, receiver in pairs]:
                expect(await message.outcome(), message.promise)
