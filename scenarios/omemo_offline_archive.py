import re

from lab import Federation, expect, scenario, step

WAITING = 200
NODE = "eu.siacs.conversations.axolotl.bundles:{}"
PUBSUB = "http://jabber.org/protocol/pubsub"


@scenario(spec="XEP-0384 0.3 4.6, XEP-0160")
async def omemo_offline_archive(federation: Federation) -> None:
    """Two hundred messages of strangers wait for bob: he reads them in order, and his device answers each once."""
    a, b = federation.linked_pair()
    alice, carol = await a.person("alice", encryption="omemo"), await a.person("carol", encryption="omemo")
    bob = await b.person("bob", encryption="omemo")
    node = NODE.format(bob.device.omemo_device)
    ask = f"<iq type='get' to='{bob.jid}'><pubsub xmlns='{PUBSUB}'><items node='{node}' max_items='1'/></pubsub></iq>"

    async def fetch_keys() -> set[str]:
        return set(re.findall(r"preKeyId=.(\d+)", (await alice.device.iq(ask)).xml))

    with step("bob is away, and alice and carol write to him for the first time, and on"):
        before = await fetch_keys()
        await bob.disconnect()
        sent = [await (alice, carol)[number % 2].send(bob, federation.secret()) for number in range(WAITING)]
        await sent[-1].outcome()
    with step("he is back and reads all of them, in the order in which each wrote"):
        await bob.connect()
        for message in sent:
            expect(await message.read_by(bob.device), {bob.device: message.text})
        arrived = [one.id for one in bob.device.stanzas if one.direction == "in" and "<payload" in one.xml]
        for mine in (sent[::2], sent[1::2]):
            expect([one for one in arrived if one in {m.id for m in mine}], [one.id for one in mine])
    with step("his device has answered each of the two with one empty message, and deleted the two keys they used"):
        answers = [
            str(one.receiver) for one in bob.device.stanzas if one.direction == "out" and "<encrypted" in one.xml
        ]
        expect(sorted(answers), [alice.jid, carol.jid])
        expect(len(before - await fetch_keys()), 2)
