from lab import Federation, NotApplicable, expect, scenario, step


@scenario(spec="XEP-0384 7.1, XEP-0060 4.5", topology="encryption-policies")
async def omemo_contacts_only(federation: Federation) -> None:
    """Keys are for contacts only: a stranger's client sends nothing, least of all in the clear; contacts write."""
    strict = [one for one in federation.servers if one.neighbours and not one.spec.has("open-pep")]
    if not strict:
        raise NotApplicable("no server with a link has `features: [-open-pep]`: take the topology encryption-policies")
    for there in strict:
        alice = await there.neighbours[0].person("alice", encryption="omemo")
        bob = await there.person("bob", encryption="omemo")
        with step(f"{there}: alice is a stranger, may not fetch bob's keys, and sends nothing"):
            attempt = await alice.attempt(bob, federation.secret())
            expect(attempt.result, "refused")
            expect("presence-subscription-required" in attempt.reason or "forbidden" in attempt.reason, True)
        with step("they become contacts: each reads what the other writes"):
            await federation.befriend(alice, bob)
            for sender, receiver in ((alice, bob), (bob, alice)):
                expect(str(await sender.attempt(receiver, federation.secret())), "read (omemo)")
