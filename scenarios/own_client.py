"""A program of somebody else's takes part: its messages are judged by what its server reports."""

from lab import Federation, expect, scenario


@scenario(spec="RFC 6121 5")
async def own_client(federation: Federation) -> None:
    """A message from go-sendxmpp, a real client, is delivered to somebody on another server."""
    a, b = federation.linked_pair()
    sender, bob = await a.guest("sender"), await b.person("bob")
    async with federation.client("go-sendxmpp", sender, bob.jid, stdin="hello") as program:
        message = await sender.sent(to=bob)
        expect(await message.outcome(), federation.link(a, b).promise)
        expect(await program.wait(), 0)
