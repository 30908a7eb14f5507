from lab import Federation, expect, scenario, step


@scenario(spec="RFC 7590 3", expects={"secrecy": "failed"})
async def plaintext_is_seen(federation: Federation) -> None:
    """Unencrypted words: TLS guards the wire, yet both servers read and keep every one."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    with step("alice writes in plain, over TLS all the way"):
        message = await alice.send(bob, federation.secret())
        expect(await message.outcome(), federation.link(a, b).promise)
