from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0384 0.3 4.2, XEP-0163 4")
async def omemo_new_device_mid_chat(federation: Federation) -> None:
    """Bob gets a second device while he talks: it reads what follows, and nothing of what was said before."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    await federation.befriend(alice, bob)
    with step("alice and bob write"):
        before = [await alice.send(bob, federation.secret()), await bob.send(alice, federation.secret())]
        for message in before:
            expect(await message.outcome(), federation.link(a, b).promise)
    with step("bob adds a tablet: his new device list is pushed to alice, across the servers"):
        tablet = await bob.add_device("tablet")
        await alice.device.received(lambda stanza: f"id='{tablet.omemo_device}'" in stanza.xml.replace('"', "'"))
    with step("what alice writes now both of bob's devices read"):
        message = await alice.send(bob, federation.secret())
        expect(message.encrypted_for, {one.omemo_device for one in bob.devices})
        expect(await message.read_by(*bob.devices), dict.fromkeys(bob.devices, message.text))
    with step("the tablet fetches the archive: the history is there, and unreadable to it"):
        await tablet.archive(deliver=True)
        expect(await before[0].read_by(tablet), {tablet: None})
    with step("bob answers from the tablet; alice and his first device read it"):
        answer = await tablet.send(alice, federation.secret())
        readers = (alice.device, bob.device)
        expect(await answer.read_by(*readers), dict.fromkeys(readers, answer.text))
