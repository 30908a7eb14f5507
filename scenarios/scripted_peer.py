from lab import Federation, expect, scenario, step


@scenario(spec="RFC 6120 8.3, XEP-0199")
async def scripted_peer(federation: Federation) -> None:
    """A scripted server refuses one message and accepts the next; the other server sends both on unchanged."""
    async with federation.peer() as peer:
        home = peer.server.neighbours[0]
        alice = await home.person("alice")
        with step("a ping and its answer cross the link"):
            await peer.ping(home)
        with step("bob has moved: alice gets the error that the peer sent"):
            message = await alice.send(peer.person("bob"), "are you there?")
            await peer.refuse(await peer.expect(message.id), "gone")
            expect([one.condition for one in (await message.outcome()).bounces], ["gone"])
        with step("the robot accepts the message"):
            message = await alice.send(peer.person("robot"), "hello")
            peer.accept(await peer.expect(message.id))
            expect(await message.outcome(), federation.link(home, peer.server).promise)
