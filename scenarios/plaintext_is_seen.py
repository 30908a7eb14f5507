from lab import Federation, expect, scenario, step


@scenario(spec="RFC 7590 3", expects={"secrecy": "failed"})
async def plaintext_is_seen(federation: Federation) -> None:
    """An unencrypted message: TLS protects the streams, but both servers can read it and store it."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    with step("alice writes without encryption, over streams with TLS"):
        message = await alice.send(bob, federation.secret())
        expect(await message.outcome(), federation.link(a, b).promise)
