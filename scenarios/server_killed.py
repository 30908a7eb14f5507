"""What a server has taken some seconds ago survives its end (SIGKILL; RFC 6121 section 8.5.2.2, XEP-0160).

The age matters: Erlang writes the store of ejabberd up to two seconds later; what is younger is gone with the process.
Prosody writes each message at once.
"""

import asyncio

from lab import Federation, expect, scenario, step
from lab.faults import kill, restart

AGE = 5  # seconds


@scenario(spec="RFC 6121 8.5.2.2, XEP-0160")
async def server_killed(federation: Federation) -> None:
    """A server is killed while it keeps messages for somebody who is away: they are there afterwards."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    with step("bob is away, and his account is on the disk: his server was stopped in order since it was made"):
        await bob.disconnect()
        async with federation.inject(restart(b)):
            await alice.ping(b)
    with step(f"his server takes three messages for him, and is killed {AGE} seconds later"):
        messages = [await alice.send(bob, text) for text in ("one", "two", "three")]
        await alice.ping(b)  # answered behind the messages: they have been handled
        await asyncio.sleep(AGE)
        async with federation.inject(kill(b)):
            await alice.ping(b, reached=False)
    with step("bob comes back and gets all of them"):
        await bob.connect()
        for message in messages:
            expect(await message.outcome(), message.promise)
