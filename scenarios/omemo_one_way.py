from lab import Federation, expect, scenario, step
from lab.faults import intercept

# What somebody asks PEP for becomes a question that nobody understands.
GARBLE = {"action": "replace", "stanza": "iq", "type": "get", "element": "pubsub", "xml": "<x xmlns='urn:example:x'/>"}


@scenario(spec="XEP-0384 5.8, XEP-0060 6.5")
async def omemo_one_way(federation: Federation) -> None:
    """Keys can be fetched in one direction only: one writes encrypted, the other reads and cannot answer."""
    for here, there in (pair := federation.linked_pair(), pair[::-1]):
        alice, bob = await here.person("alice", encryption="omemo"), await there.person("bob", encryption="omemo")
        with step(f"alice on {here} and bob on {there} know each other"):
            expect(str(await alice.attempt(bob, federation.secret())), "read (omemo)")
        async with federation.inject(intercept(federation.link(there, here), rules=[GARBLE], direction="to")):
            with step("questions from bob's server are garbled: alice writes, and he reads it"):
                expect(str(await alice.attempt(bob, federation.secret())), "read (omemo)")
            with step("his client cannot ask for her devices, and sends nothing"):
                expect((await bob.attempt(alice, federation.secret())).result, "refused")
        with step("it is over, and he answers"):
            expect(str(await bob.attempt(alice, federation.secret())), "read (omemo)")
