from lab import Federation, expect, scenario, step


@scenario(spec="RFC 6120 4.9.3.13, RFC 6120 8.3.3.8, RFC 7622")
async def one_bad_stanza(federation: Federation) -> None:
    """On a stream that many share a bad address stops nobody else; broken XML ends it, and a new one carries on."""
    async with federation.peer() as peer:
        for home in peer.server.neighbours:
            alice, bob, carol = [await home.person() for _ in range(3)]
            message = f"<message id='%s-{home}' from='dave@{peer.domain}' to='%s'><body>%s</body></message>"
            with step(f"{home}: one for an address that is none, between two others: it is returned, they arrive"):
                await peer.send(message % ("first", alice.jid, "before"))
                await peer.raw(home, message % ("bad", f"no one@@{home.domain}", "to nobody"))
                await peer.send(message % ("second", bob.jid, "behind"))
                await bob.device.received(f"second-{home}")
                expect((await peer.received(f"bad-{home}")).type, "error")
            with step(f"{home}: broken XML behind a message ends the stream; the next goes over a new one"):
                await peer.send(message % ("third", alice.jid, "before"))
                await peer.raw(home, "<message></iq>")
                expect((await peer.closed(home)).startswith("stream error not-well-formed"), True)
                await peer.send(message % ("fourth", carol.jid, "on a new stream"))
                await carol.device.received(f"fourth-{home}")
            with step(f"{home}: what was written before is there, too"):
                for name in ("first", "third"):
                    await alice.device.received(f"{name}-{home}")
