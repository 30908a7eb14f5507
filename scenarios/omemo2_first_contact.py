from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0384 0.9, XEP-0420")
async def omemo2_first_contact(federation: Federation) -> None:
    """Two strangers write with OMEMO 2: both read it, and what servers see has no body at all."""
    a, b = federation.linked_pair()
    alice = await a.person("alice", encryption="omemo:2")
    bob = await b.person("bob", encryption="omemo:2", devices=2)
    with step("alice fetches the keys of bob's devices across the servers and writes"):
        first = await alice.send(bob, federation.secret())
        expect(await first.outcome(), federation.link(a, b).promise)
        expect(await first.read_by(*bob.devices), dict.fromkeys(bob.devices, first.text))
    with step("what bob's phone got has no body: it is in the envelope, whose size is padded"):
        (got,) = [one.xml for one in bob.device.stanzas if one.direction == "in" and first.id in one.xml]
        expect(("urn:xmpp:omemo:2" in got, "<body" in got), (True, False))
    with step("bob answers in the session that alice began"):
        answer = await bob.send(alice, federation.secret())
        expect(await answer.outcome(), federation.link(a, b).promise)
        readers = (alice.device, bob.devices[1])
        expect(await answer.read_by(*readers), dict.fromkeys(readers, answer.text))
    with step("each compares the other's key, as they would by telephone"):
        expect(await alice.compare_fingerprint(bob), "match")
        expect(await bob.compare_fingerprint(alice), "match")
