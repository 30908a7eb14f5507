from lab import Federation, expect, scenario, step
from lab.faults import intercept

SWAPPED = {"action": "reorder", "stanza": "message", "element": "payload"}


@scenario(spec="XEP-0384, RFC 6120 10.1", expects={"delivery": "failed"})
async def omemo_out_of_order(federation: Federation) -> None:
    """Fifty messages arrive in another order, each in its neighbour's place: bob reads every one of them."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    with step("the two have a session"):
        first = await alice.send(bob, federation.secret())
        expect(await first.read_by(bob.device), {bob.device: first.text})
    with step("somebody between the servers swaps each two of fifty messages"):
        async with federation.inject(intercept(federation.link(a, b), [SWAPPED], direction="to")):
            sent = [await alice.send(bob, federation.secret()) for _ in range(50)]
            for message in sent:
                expect(await message.read_by(bob.device), {bob.device: message.text})
    with step("they did arrive in another order"):
        arrived = [one.id for one in bob.device.stanzas if one.direction == "in" and one.id in {m.id for m in sent}]
        expect(arrived, [one.id for pair in zip(sent[1::2], sent[::2], strict=True) for one in pair])
