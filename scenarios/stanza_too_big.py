from lab import Federation, NotApplicable, expect, scenario, step


@scenario(spec="RFC 6120 13.12, XEP-0478", expects={"delivery": "failed"})
async def stanza_too_big(federation: Federation) -> None:
    """A stanza above the other server's limit is lost and nobody told; at once, or on a new stream, the link works."""
    limited = [server for server in federation.servers if server.spec.max_stanza_size and server.neighbours]
    if not limited:
        raise NotApplicable("no server of this topology has a `max_stanza_size` and a link")
    for far in limited:
        for home in far.neighbours:
            alice, bob = await home.person(), await far.person()
            with step(f"{home} to {far}: a small message arrives"):
                message = await alice.send(bob, "small")
                expect(await message.outcome(), federation.link(home, far).promise)
            with step(
                f"one above the limit of {far.spec.max_stanza_size} bytes is sent; the link works again behind it"
            ):
                big = await alice.send(bob, "x" * 2 * (far.spec.max_stanza_size or 0))
                for _ in range(10):  # the stream may end a while after
                    message = await alice.send(bob, "are you there?")
                    if (await message.outcome(within="3s")).deliveries:
                        break
                expect(await message.outcome(), federation.link(home, far).promise)
            with step("it was not delivered before"):
                expect((await big.outcome(within="100ms")).deliveries, ())
