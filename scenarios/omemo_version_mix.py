from lab import Federation, PeerError, expect, scenario, step


@scenario(spec="XEP-0384 0.3 and 0.9")
async def omemo_version_mix(federation: Federation) -> None:
    """Old, new and both: who speaks both versions of OMEMO reaches everybody, the others are refused to each other."""
    a, b = federation.linked_pair()
    both = await a.person("alice", encryption="omemo+omemo:2", devices=2)
    old = await b.person("bob", encryption="omemo")
    new = await b.person("carol", encryption="omemo:2")
    phone, laptop = both.devices
    for other in (old, new):
        with step(f"alice writes to {other.name}, who reads it, as does her laptop; the answer is read by both"):
            message = await phone.send(other, federation.secret())
            expect(await message.read_by(other.device, laptop), dict.fromkeys((other.device, laptop), message.text))
            answer = await other.send(both, federation.secret())
            expect(await answer.read_by(phone, laptop), dict.fromkeys((phone, laptop), answer.text))
    with step("bob and carol have no version in common: nothing is sent"):
        for sender, receiver in ((old, new), (new, old)):
            refusal = ""
            try:
                await sender.send(receiver, federation.secret())
            except PeerError as error:
                refusal = str(error)
            expect("has no OMEMO device that can be encrypted to" in refusal, True)
