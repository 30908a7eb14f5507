from lab import Federation, expect, scenario, step
from lab.faults import dns, reset_streams


@scenario(spec="RFC 2782, RFC 6120 3.2.1")
async def srv_failover(federation: Federation) -> None:
    """A server's first address does not answer: others find it at the next one that its name has."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    link = federation.link(a, b)
    async with federation.inject(dns(link, how="failover")), federation.inject(reset_streams(link)):
        for sender, receiver in ((alice, bob), (bob, alice)):
            with step(f"{sender.server} looks for {receiver.server}, whose first port is closed, and opens a stream"):
                await sender.ping(receiver.server)
                message = await sender.send(receiver, "found you")
                expect(await message.outcome(), message.promise)
