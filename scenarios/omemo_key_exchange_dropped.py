from lab import Federation, expect, scenario, step
from lab.faults import intercept

#: A key that begins a session is marked so, for all to see (XEP-0384 0.3 section 4.5).
KEY_EXCHANGES = {"action": "drop", "stanza": "message", "element": "key", "contains": "prekey="}


@scenario(spec="XEP-0384 0.3 4.5, XEP-0184", expects={"delivery": "failed"})
async def omemo_key_exchange_dropped(federation: Federation) -> None:
    """Somebody lets only messages vanish that begin a session: strangers stay strangers, until the other one writes."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    carol = await a.person("carol", encryption="omemo")
    with step("alice and bob know each other"):
        first = await alice.send(bob, federation.secret(), receipt=True)
        expect(await first.read_by(bob.device), {bob.device: first.text})
        await alice.device.received("<encrypted")  # what completes the session
    async with federation.inject(intercept(federation.link(a, b), [KEY_EXCHANGES], direction="to")):
        with step("their talk goes on as if nothing were: who tries whether the link works finds that it does"):
            message = await alice.send(bob, federation.secret())
            expect(await message.read_by(bob.device), {bob.device: message.text})
        with step(
            "of carol's nothing arrives, however often she writes: each message is still one that begins a session"
        ):
            lost = [await carol.send(bob, federation.secret(), receipt=True) for _ in range(3)]
            outcome = await lost[-1].outcome(within="5s")
            expect([outcome.deliveries, outcome.bounces, tuple(lost[-1].receipts)], [(), (), ()])
        with step("bob writes to her: that session begins in the other direction, and her next message is read"):
            hello = await bob.send(carol, federation.secret())
            expect(await hello.read_by(carol.device), {carol.device: hello.text})
            message = await carol.send(bob, federation.secret(), receipt=True)
            expect(await message.read_by(bob.device), {bob.device: message.text})
            await message.acknowledged()
        expect([len(one.receipts) for one in lost], [0, 0, 0])
