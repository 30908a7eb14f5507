from lab import Federation, expect, scenario, step
from lab.faults import drop_stanzas


@scenario(spec="XEP-0384", expects={"delivery": "failed"})
async def omemo_too_many_skipped(federation: Federation) -> None:
    """More than a thousand messages vanish: the next one would need all their keys, and is refused at once."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    with step("the two have a session, whose keys are new since bob's answer"):
        for sender, receiver in ((alice, bob), (bob, alice)):
            message = await sender.send(receiver, federation.secret())
            expect(await message.read_by(receiver.device), {receiver.device: message.text})
    async with federation.inject(drop_stanzas(federation.link(a, b), direction="to", element="payload")):
        with step("1001 messages vanish on the way"):
            for _ in range(1001):
                await alice.send(bob, "gone")
            await alice.ping(b)  # behind them: all have reached who takes them away
    with step("bob's device does not compute a thousand keys because of one message, neither now nor for the next"):
        for _ in range(2):
            message = await alice.send(bob, federation.secret())
            expect(await message.read_by(bob.device), {bob.device: None})
    with step("alice's new device has a session of its own: bob reads what it writes"):
        again = await (await alice.add_device("new")).send(bob, federation.secret())
        expect(await again.read_by(bob.device), {bob.device: again.text})
