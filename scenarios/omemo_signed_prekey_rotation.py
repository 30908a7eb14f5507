import re

from lab import Federation, expect, scenario, step
from lab.federation import Person

BUNDLE = "eu.siacs.conversations.axolotl.bundles"
PUBSUB = "http://jabber.org/protocol/pubsub"


@scenario(spec="X3DH 3.2, XEP-0384 0.9", expects={"delivery": "failed"})
async def omemo_signed_prekey_rotation(federation: Federation) -> None:
    """Bob's keys are old where others find them: he reads who used the last ones, not who used those before."""
    a, b = federation.linked_pair()
    alice, carol = await a.person("alice", encryption="omemo"), await a.person("carol", encryption="omemo")
    bob = await b.person("bob", encryption="omemo")
    node = f"{BUNDLE}:{bob.device.omemo_device}"
    ask = f"<iq type='get' to='{bob.jid}'><pubsub xmlns='{PUBSUB}'><items node='{node}' max_items='1'/></pubsub></iq>"

    async def fetch() -> str:
        found = re.search(r"<bundle.*</bundle>", (await alice.device.iq(ask)).xml, re.DOTALL)
        return found[0] if found else ""

    async def is_read(sender: Person, receiver: Person) -> bool:
        return (await sender.attempt(receiver, federation.secret())).result == "read"

    async def rotate(old: str) -> None:
        await bob.device.rotate_signed_prekey()
        item = f"<publish node='{node}'><item id='current'>{old}</item></publish>"
        expect((await bob.device.iq(f"<iq type='set'><pubsub xmlns='{PUBSUB}'>{item}</pubsub></iq>")).type, "result")

    old = await fetch()
    with step("bob's device has a new signed prekey, alice still finds the old one: it is kept, and he reads her"):
        await rotate(old)
        expect(await is_read(alice, bob), True)
    with step("it has another one, carol still finds the first: that is deleted, and he cannot read her"):
        await rotate(old)
        expect(await is_read(carol, bob), False)
        expect("signed pre" in "".join(bob.device.unread.values()), True)
    with step("she is not told, and her device does not try again; once bob writes to her, both read everything"):
        expect([await is_read(carol, bob), await is_read(bob, carol), await is_read(carol, bob)], [False, True, True])
