from lab import Federation, expect, scenario, step


@scenario(spec="OTR v3; XEP-0364", encryptions=["otr"])
async def otr_session(federation: Federation) -> None:
    """Two people agree on a secret over OTR; a wrong one is noticed."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="otr"), await b.person("bob", encryption="otr")
    with step("alice writes: the session begins first, and the message is in it"):
        message = await alice.send(bob, federation.secret())
        outcome = await message.outcome()
        expect(outcome, federation.link(a, b).promise)
        expect([one.text for one in outcome.deliveries], [message.text], because="bob reads what alice wrote")
    with step("bob answers in the same session"):
        answer = await bob.send(alice, federation.secret())
        outcome = await answer.outcome()
        expect([one.text for one in outcome.deliveries], [answer.text], because="alice reads what bob wrote")
    with step("bob ends the session: alice's next message begins a new one, nothing leaves in the clear"):
        await bob.end_session(alice)
        again = await alice.send(bob, federation.secret())
        expect(await again.read_by(bob.device), {bob.device: again.text})
    with step("their keys are those that they show"):
        expect(await alice.compare_fingerprint(bob), "match")
        expect(await bob.compare_fingerprint(alice), "match")
    with step("they check a secret: one that bob does not answer, one that both know, one that only alice knows"):
        expect(await alice.verify(bob, secret="blue", answer=None), "aborted")
        expect(await alice.verify(bob, secret="blue", answer="blue"), "match")
        expect(await alice.verify(bob, secret="blue", answer="red"), "mismatch")
