from lab import Federation, expect, scenario, step


@scenario(spec="RFC 7590 3.4, RFC 6120 5.3.1")
async def unencrypted_peer_refused(federation: Federation) -> None:
    """A server that speaks without TLS is let in by nobody, and nobody writes to it in the clear."""
    async with federation.peer() as peer:
        for home in peer.server.linked:
            alice = await home.person()
            with step(f"{peer.server} opens a stream to {home} without TLS: it is refused before it proves anything"):
                await peer.negotiate(tls="none", authentication="dialback")
                await peer.negotiate(tls="optional", direction="in")  # its key can be verified
                stream = await peer.open(home)
                expect((stream.open, stream.tls, stream.condition), (False, "", "policy-violation"))
                await peer.close()
            with step(f"{home} opens one and is offered no TLS: nothing is sent, and alice is told"):
                await peer.negotiate(tls="none", direction="in")
                message = await alice.send(peer.person("bob"), "Who can read this?")
                expect(await message.outcome(), federation.link(home, peer.server).promise)
                expect([one.id for one in peer.stanzas if one.id == message.id], [])
