from base64 import b64decode

from lab import Federation, expect, scenario, step

OMEMO = "{eu.siacs.conversations.axolotl}"


def is_empty(xml: str) -> bool:
    """Whether a message has keys alone."""
    return "<encrypted" in xml and "<payload" not in xml


@scenario(spec="XEP-0384 0.3 4.6, XEP-0384 0.9 6")
async def omemo_heartbeat(federation: Federation) -> None:
    """Alice writes and bob never answers: his device answers her 54th message, and her keys move on."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    sent = []

    async def write(times: int) -> None:
        for _ in range(times):
            sent.append(await alice.send(bob, federation.secret()))
            expect(await sent[-1].read_by(bob.device), {bob.device: sent[-1].text})

    with step("alice writes first: bob's device completes the session with an empty message"):
        await write(1)
        completed = await alice.device.received(lambda one: is_empty(one.xml))
    with step("53 messages more, and bob's device has said nothing else"):
        await write(53)
        expect([one.id for one in bob.device.stanzas if is_empty(one.xml)], [completed.id])
    with step("the 54th is one too many with the same key: bob's device sends an empty message, nobody sees it"):
        await write(1)
        await alice.device.received(lambda one: is_empty(one.xml) and one.id != completed.id)
    with step("what alice writes now begins a new chain of keys, and bob reads it"):
        await write(1)
        out = [one for one in alice.device.stanzas if one.id in {message.id for message in sent[-3:]}]
        chains = [
            b64decode(next(one.element.iter(f"{OMEMO}key")).text or "")[:36] for one in out
        ]  # with its public key
        expect([chain == chains[0] for chain in chains], [True, True, False])
