from lab import Federation, expect, scenario, step
from lab.faults import certificate, reset_streams


@scenario(spec="RFC 6120 13.7, RFC 7590 3.4")
async def certificate_renewed(federation: Federation) -> None:
    """A server gets a new certificate while it runs: nobody notices. With an expired one no new stream is opened."""
    one, two = federation.linked_pair()
    for server, other in ((one, two), (two, one)):
        alice, bob = await server.person("alice"), await other.person("bob")
        link = federation.link(server, other)
        with step(f"{server} gets a new certificate: the streams that are up stay, and new ones are opened with it"):
            await alice.ping(other)
            async with federation.inject(certificate(server, how="renewed")):
                for when in ("on the old streams", "on new streams"):
                    for message in (await alice.send(bob, when), await bob.send(alice, when)):
                        expect(await message.outcome(), message.promise)
                    async with federation.inject(reset_streams(link, how="close")):
                        await alice.ping(other)
                        await bob.ping(server)
        with step(f"the certificate of {server} has expired: no new stream is opened, and both are told"):
            async with federation.inject(certificate(server, how="expired")), federation.inject(reset_streams(link)):
                await alice.ping(other, reached=False)
                await bob.ping(server, reached=False)
                for message in (await alice.send(bob, "too late?"), await bob.send(alice, "too late?")):
                    outcome = await message.outcome(within="60s")
                    expect((len(outcome.deliveries), len(outcome.bounces)), (0, 1))
        with step("it is renewed: both write to each other again"):
            await alice.ping(other)
            await bob.ping(server)
            for message in (await alice.send(bob, "at last"), await bob.send(alice, "at last")):
                expect(await message.outcome(), message.promise)
