from lab import Federation, expect, scenario, step
from lab.faults import pause


@scenario(spec="RFC 6120 4.6, 10.1")
async def server_frozen(federation: Federation) -> None:
    """A server hangs: others notice nothing among themselves, and what was sent to it arrives when it goes on."""
    one, two = federation.linked_pair()
    for frozen, other in ((one, two), (two, one)):
        alice, colleague, bob = await other.person("alice"), await other.person(), await frozen.person("bob")
        await alice.ping(frozen)
        async with federation.inject(pause(frozen)):
            with step(f"{frozen} hangs: a message to it waits"):
                message = await alice.send(bob, "are you there?")
                expect((await message.outcome(within="2s")).settled, False)
            with step(f"people of {other} write to each other as ever"):
                for among in (await alice.send(colleague, "hello"), await colleague.send(alice, "hello")):
                    expect(await among.outcome(), among.promise)
        with step(f"{frozen} goes on: the message arrives, and so does the answer"):
            expect(await message.outcome(), message.promise)
            answer = await bob.send(alice, "I am")
            expect(await answer.outcome(), answer.promise)
