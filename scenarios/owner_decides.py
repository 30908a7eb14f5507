from lab import Federation, PeerError, expect, scenario, step


@scenario(spec="XEP-0077, RFC 6120 4.9.3.14, RFC 6121 8.5.1")
async def owner_decides(federation: Federation) -> None:
    """Who owns a server decides who uses it: closes registration, refuses another server, deletes an account."""
    one, two = federation.linked_pair()
    for own, other in ((one, two), (two, one)):
        alice, leaver, bob = await own.person("alice"), await own.person(), await other.person("bob")
        with step(f"{own} is closed: nobody registers an account by themselves"):
            try:
                answer = (await own.register(f"late-{leaver.name}")).jid
            except PeerError as error:
                answer = "refused" if error.condition else ""
            expect(answer, "refused")
        with step(f"{own} refuses {other}: both people are told"):
            await own.refuse(other)
            await bob.ping(own, reached=False)  # a message on a stream that is about to end may be lost with it
            for message in (await alice.send(bob, "do you hear me?"), await bob.send(alice, "do you?")):
                expect(await message.outcome(), message.promise)
        with step("and accepts it again: they write to each other"):
            await own.accept(other)
            await alice.ping(other)
            await bob.ping(own)
            for message in (await alice.send(bob, "again"), await bob.send(alice, "at last")):
                expect(await message.outcome(), message.promise)
        with step(f"{own} deletes an account: who writes to it is told that it is not there"):
            await own.delete(leaver)
            outcome = await (await bob.send(leaver, "and you?")).outcome()
            expect([one.condition for one in outcome.bounces], ["service-unavailable"])
