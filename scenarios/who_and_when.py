from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0384 14, RFC 7590 3")
async def who_and_when(federation: Federation) -> None:
    """OMEMO hides what two people write; both servers learn who writes to whom, when, how much, and that it arrived."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    with step("alice is seen typing, writes, and bob's device confirms it: no server can read what"):
        await federation.befriend(alice, bob)
        await alice.device.chat_state(bob, "composing")
        message = await alice.send(bob, federation.secret(), receipt=True)
        expect(await message.outcome(), federation.link(a, b).promise)
        await message.acknowledged(within="30s")
    with step("bob answers"):
        answer = await bob.send(alice, federation.secret())
        expect(await answer.outcome(), federation.link(b, a).promise)
