"""Small scenarios for the integration tests."""

from lab import Federation, scenario, step


@scenario()
async def three_in_a_row(federation: Federation) -> None:
    """Alice writes three times."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice"), await b.person("bob")
    with step("alice writes three times"):
        for text in ("one", "two", "three"):
            await alice.send(bob, text)


@scenario()
async def one_secret(federation: Federation) -> None:
    """Alice sends one secret, encrypted by a way named `leaky`."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="leaky"), await b.person("bob", encryption="omemo")
    message = await alice.send(bob, federation.secret())
    await message.outcome()


@scenario()
async def nobody_speaks(federation: Federation) -> None:
    """Nothing happens."""
    await federation.people()
