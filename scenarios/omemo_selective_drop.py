from base64 import b64decode

from lab import Federation, expect, scenario, step
from lab.faults import intercept
from lab.federation import Device, Message

KEY = "{eu.siacs.conversations.axolotl}key"
WITHHELD = {"action": "drop", "stanza": "message", "element": "payload", "nth": 2}


@scenario(spec="XEP-0384 2.1, XEP-0184, Double Ratchet 3.4", expects={"delivery": "failed"})
async def omemo_selective_drop(federation: Federation) -> None:
    """Bob's server withholds messages from one of his devices: receipts are missing, and numbers in the ciphertext."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo", devices=2)
    phone, laptop = bob.devices

    async def write(*readers: Device) -> Message:
        message = await alice.send(bob, federation.secret(), receipt=True)
        expect(await message.read_by(*readers), dict.fromkeys(readers, message.text))
        return message

    def count(message: Message) -> int:
        got = next(one.element for one in laptop.stanzas if one.direction == "in" and one.id == message.id)
        # What it is among those with one key of her ratchet: behind a byte, that key, and a tag.
        return b64decode({key.get("rid"): key.text or "" for key in got.iter(KEY)}[str(laptop.omemo_device)])[37]

    async with federation.inject(intercept(laptop, [WITHHELD], direction="from")):
        with step("alice writes, and bob answers from his laptop: her device takes a new key for what follows"):
            await write(phone, laptop)
            answer = await laptop.send(alice, federation.secret())
            expect(await answer.read_by(alice.device), {alice.device: answer.text})
        with step("of her next messages the laptop gets every second one, the phone all, and no server says a word"):
            messages = [await write(phone), await write(phone, laptop), await write(phone), await write(phone, laptop)]
    with step("alice sees it: what the laptop has not got it has not confirmed"):
        await alice.device.received(lambda one: one.sender == laptop.jid and messages[-1].id in one.xml)
        confirmed = "".join(one.xml for one in alice.device.stanzas if one.sender == laptop.jid)
        expect([message.id in confirmed for message in messages], [False, True] * 2)
    with step("the laptop sees it: her device has numbered them, and no server can change that unnoticed"):
        expect([count(messages[1]), count(messages[3])], [1, 3])
