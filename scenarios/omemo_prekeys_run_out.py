import asyncio
import re

from lab import Federation, expect, scenario, step

STRANGERS = 101  # one more than a bundle has keys for first contacts
NODE = "eu.siacs.conversations.axolotl.bundles:{}"
PUBSUB = "http://jabber.org/protocol/pubsub"


@scenario(spec="XEP-0384 0.3 4.4, XEP-0384 0.9 5.3.2")
async def omemo_prekeys_run_out(federation: Federation) -> None:
    """More strangers than bob has keys write to him while he is away: keys are used twice, and he reads everybody."""
    a, b = federation.linked_pair()
    bob = await b.person("bob", encryption="omemo")
    strangers = [
        one
        for _ in range(0, STRANGERS, 10)
        for one in await asyncio.gather(*(a.person(encryption="omemo") for _ in range(10)))
    ][:STRANGERS]
    node = NODE.format(bob.device.omemo_device)
    ask = f"<iq type='get' to='{bob.jid}'><pubsub xmlns='{PUBSUB}'><items node='{node}' max_items='1'/></pubsub></iq>"

    async def fetch_keys() -> set[str]:
        return set(re.findall(r"preKeyId=.(\d+)", (await strangers[0].device.iq(ask)).xml))

    with step(f"bob is away, and {STRANGERS} strangers write to him for the first time"):
        before = await fetch_keys()
        expect(len(before), STRANGERS - 1)
        await bob.disconnect()
        sent = [await one.send(bob, federation.secret()) for one in strangers]
    with step("he is back and reads all of them, though some took the same key"):
        await bob.connect()
        for message in sent:
            expect(await message.read_by(bob.device), {bob.device: message.text})
            expect([one.via for one in (await message.outcome()).deliveries], ["offline"])
    with step("no key that was used is offered any more, and there are enough for who comes next"):
        after = await fetch_keys()
        expect(0 < len(before - after) < STRANGERS, True)
        expect(len(after) >= 25, True)
