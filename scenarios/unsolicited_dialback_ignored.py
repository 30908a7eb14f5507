from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0220 2.1, RFC 6120 4.9.3.12")
async def unsolicited_dialback_ignored(federation: Federation) -> None:
    """Answers that no server asked for prove no domain: what is written after them reaches nobody."""
    async with federation.peer() as peer:
        for home in peer.server.neighbours:
            alice = await home.person()
            names = f"from='{peer.domain}' to='{home.domain}'"
            message = f"<message id='%s' from='bob@{peer.domain}' to='{alice.jid}'><body>Believe me.</body></message>"
            with step(f"{peer.server} tells {home} that it is verified, unasked, and writes to alice"):
                await peer.negotiate(authentication="none", direction="out")
                await peer.open(home)
                answers = f"<db:result {names} type='valid'/><db:verify {names} id='1' type='valid'/>"
                await peer.raw(home, answers + message % f"forged-{home}")
                await peer.close(home)
            with step("a stream whose key was verified carries the next message: alice has that one alone"):
                await peer.negotiate(authentication="dialback", direction="out")
                await peer.send(message % f"proved-{home}")
                await alice.device.received(f"proved-{home}")
                received = [one.id for one in alice.device.stanzas if (one.name, one.direction) == ("message", "in")]
                expect(received, [f"proved-{home}"])
