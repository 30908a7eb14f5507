"""A program of somebody else's takes part: its messages are judged by what its server reports."""

import shutil

from lab import Federation, NotApplicable, expect, scenario

PROGRAM = "go-sendxmpp"  # a package of Debian's; a guest can have any program


@scenario(spec="RFC 6121 5")
async def own_client(federation: Federation) -> None:
    """A message from go-sendxmpp is delivered to somebody on another server."""
    if shutil.which(PROGRAM) is None:
        raise NotApplicable(f"{PROGRAM} is not installed on this machine")
    a, b = federation.linked_pair()
    sender, bob = await a.guest("sender"), await b.person("bob")
    argv = [PROGRAM, "-u", sender.jid, "-p", sender.password, bob.jid]
    async with federation.process(argv, stdin="hello") as program:
        message = await sender.sent(to=bob)
        expect(await message.outcome(), federation.link(a, b).promise)
        expect(await program.wait(), 0)
