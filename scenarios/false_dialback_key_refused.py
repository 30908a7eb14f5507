from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0220 2.1.2, XEP-0185")
async def false_dialback_key_refused(federation: Federation) -> None:
    """A key that its domain did not make proves nothing; the true one does."""
    async with federation.peer() as peer:
        for home in peer.server.neighbours:
            alice = await home.person()
            with step(f"{peer.server} shows {home} a false key: {home} asks back and refuses it"):
                await peer.negotiate(authentication="dialback", key="false")
                stream = await peer.open(home)
                expect((stream.open, stream.authentication), (False, ""))
                expect("dialback: invalid" in stream.reason, True)
            with step("the true key opens a stream, and it carries a message"):
                await peer.negotiate(key="true")
                expect((await peer.open(home)).authentication, "dialback")
                names = f"from='bob@{peer.domain}' to='{alice.jid}'"
                await peer.send(f"<message id='proved-{home}' {names}><body>It is me.</body></message>")
                await alice.device.received(f"proved-{home}")
