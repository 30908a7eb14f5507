from lab import Federation, expect, scenario, step
from lab.faults import swap_bundle


@scenario(spec="XEP-0384", expects={"secrecy": "failed"})
async def omemo_cheating_home(federation: Federation) -> None:
    """Bob's server hands out keys of its own as his: blind trust is fooled, fingerprints tell."""
    a, b = federation.linked_pair()
    alice = await a.person("alice", encryption="omemo", trust="blind")
    bob = await b.person("bob", encryption="omemo")  # returns once the bundle can be fetched
    async with federation.inject(swap_bundle(at=b, of=bob)) as cheat:
        message = await alice.send(bob, federation.secret())
        with step("the attack succeeds: b reads it"):
            expect(await cheat.decrypts(message), True)
        with step("comparing fingerprints exposes it"):
            expect(await alice.compare_fingerprint(bob), "mismatch")
