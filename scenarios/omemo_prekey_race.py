import re

from lab import Federation, expect, scenario, step

BUNDLE = "eu.siacs.conversations.axolotl.bundles"
PUBSUB = "http://jabber.org/protocol/pubsub"


@scenario(spec="XEP-0384 0.3 4.4, XEP-0384 0.9 5.3.2")
async def omemo_prekey_race(federation: Federation) -> None:
    """Two strangers take the same one of bob's keys while he is away: he reads both, and the key is used no more."""
    a, b = federation.linked_pair()
    alice, carol = await a.person("alice", encryption="omemo"), await a.person("carol", encryption="omemo")
    bob = await b.person("bob", encryption="omemo")
    node = f"{BUNDLE}:{bob.device.omemo_device}"

    async def fetch_bundle() -> str:
        ask = (
            f"<iq type='get' to='{bob.jid}'><pubsub xmlns='{PUBSUB}'><items node='{node}' max_items='1'/></pubsub></iq>"
        )
        found = re.search(r"<bundle.*</bundle>", (await alice.device.iq(ask)).xml, re.DOTALL)
        return found[0] if found else ""

    with step("chance would have it: bob's bundle has a hundred times the same key"):
        bundle = await fetch_bundle()
        (key, *_) = re.findall(r"<preKeyPublic.*?</preKeyPublic>", bundle, re.DOTALL)
        same = re.sub(r"<preKeyPublic.*?</preKeyPublic>", key, bundle, flags=re.DOTALL)
        item = f"<publish node='{node}'><item id='current'>{same}</item></publish>"
        answer = await bob.device.iq(f"<iq type='set'><pubsub xmlns='{PUBSUB}'>{item}</pubsub></iq>")
        expect(answer.type, "result")
        await bob.disconnect()
    with step("alice and carol write to him for the first time, and he is back"):
        sent = [await one.send(bob, federation.secret()) for one in (alice, carol)]
        await bob.connect()
    with step("he reads both: the key was kept until all that waited for him was read"):
        for message in sent:
            expect(await message.read_by(bob.device), {bob.device: message.text})
    with step("it is the one that has left his bundle since"):
        ids, after = (re.findall(r"preKeyId=.(\d+)", one) for one in (bundle, await fetch_bundle()))
        expect({*ids} - {*after}, {*re.findall(r"preKeyId=.(\d+)", key)})
