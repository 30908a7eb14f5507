import secrets

from lab import Federation, expect, scenario, step
from lab.faults import stop


@scenario(spec="RFC 6120 3.2, 13.7; XEP-0220")
async def server_joins(federation: Federation) -> None:
    """A server comes to a running federation: nobody is asked, no other changes, and its people write to everybody."""
    newcomer, _ = federation.linked_pair()
    people = [await server.person() for server in newcomer.neighbours]
    async with federation.inject(stop(newcomer)):
        with step(f"{newcomer} is not there yet: nobody reaches it, and the others are as they were"):
            for person in people:
                await person.ping(newcomer, reached=False)
    try:
        with step(f"it starts: somebody registers there and writes to a person on {len(people)} other servers"):
            await newcomer.registration("open")
            nova = await newcomer.register(f"nova-{secrets.token_hex(3)}")
            for person in people:
                message = await nova.send(person, "here I am")
                expect(await message.outcome(), message.promise)
        with step("all of them answer"):
            for person in people:
                await person.ping(newcomer)
                message = await person.send(nova, "welcome")
                expect(await message.outcome(), message.promise)
    finally:
        await newcomer.registration("closed")
