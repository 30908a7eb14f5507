from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0384 0.3, XEP-0060 6.5")
async def omemo_first_contact(federation: Federation) -> None:
    """Two strangers on two servers write encrypted: both read it, no server can."""
    a, b = federation.linked_pair()
    alice = await a.person("alice", encryption="omemo")
    bob = await b.person("bob", encryption="omemo")  # returns once the bundle can be fetched
    with step("alice fetches bob's keys across the servers and writes"):
        first = await alice.send(bob, federation.secret())
        outcome = await first.outcome()
        expect(outcome, federation.link(a, b).promise)
        expect([one.text for one in outcome.deliveries], [first.text], because="bob reads what alice wrote")
    with step("bob answers in the session that alice began"):
        answer = await bob.send(alice, federation.secret())
        outcome = await answer.outcome()
        expect([one.text for one in outcome.deliveries], [answer.text], because="alice reads what bob wrote")
    with step("each compares the other's key, as they would by telephone"):
        expect(await alice.compare_fingerprint(bob), "match")
        expect(await bob.compare_fingerprint(alice), "match")
