from lab import Federation, expect, scenario, step
from lab.faults import strip_encryption


@scenario(spec="XEP-0384, XEP-0380", expects={"delivery": "failed", "integrity": "failed"})
async def omemo_stripped(federation: Federation) -> None:
    """Somebody between two servers takes the ciphertext away: nothing leaks, the receiver sees a fallback text."""
    a, b = federation.linked_pair()
    alice = await a.person("alice", encryption="omemo")
    bob = await b.person("bob", encryption="omemo")
    with step("untouched, bob reads what alice writes"):
        before = await alice.send(bob, federation.secret())
        expect([one.text for one in (await before.outcome()).deliveries], [before.text])
    async with federation.inject(strip_encryption(federation.link(a, b), direction="to")):
        with step("without its ciphertext the message still arrives, in plain and as another text"):
            stripped = await alice.send(bob, federation.secret())
            (delivery,) = (await stripped.outcome()).deliveries
            expect([delivery.encryption, delivery.text == stripped.text], ["plain", False])
    with step("alice learns nothing of it, and the next message is read again"):
        after = await alice.send(bob, federation.secret())
        expect([one.text for one in (await after.outcome()).deliveries], [after.text])
