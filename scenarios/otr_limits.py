from lab import Federation, expect, scenario, step

LONG = 100_000  # characters


@scenario(spec="OTR v3; XEP-0364 3, XEP-0280 6", expects={"delivery": "failed"}, encryptions=["otr"])
async def otr_limits(federation: Federation) -> None:
    """OTR is for one device that is online: others see noise, what is sent to a session of the past is lost."""
    a, b = federation.linked_pair()
    alice = await a.person("alice", encryption="otr")
    bob = await b.person("bob", encryption="otr", devices=2)
    phone, laptop = bob.devices
    with step("alice writes to bob's phone: his laptop gets a copy that it cannot read"):
        message = await alice.send(phone, federation.secret())
        expect(await message.read_by(phone, laptop), {phone: message.text, laptop: None})
    with step("a long message is sent in pieces"):
        long = await alice.send(phone, federation.secret() + LONG * "x")
        expect(await long.read_by(phone), {phone: long.text})
        expect(sum("<body>?OTR|" in one.xml for one in phone.stanzas if one.direction == "in") > 1, True)
    with step("bob is offline, and alice does not know that her session is of the past: nobody will read this"):
        await bob.disconnect()
        lost = await alice.send(phone, federation.secret())
        await bob.connect()
        expect(await lost.read_by(phone), {phone: None})
    with step("bob writes: a new session begins, in which both can read"):
        answer = await phone.send(alice, federation.secret())
        expect(await answer.read_by(alice.device), {alice.device: answer.text})
        again = await alice.send(phone, federation.secret())
        expect(await again.read_by(phone), {phone: again.text})
