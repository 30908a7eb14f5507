from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0384 0.3 4.2")
async def omemo_device_removed(federation: Federation) -> None:
    """Bob gives a device up: nobody encrypts for it any more."""
    a, b = federation.linked_pair()
    alice = await a.person("alice", encryption="omemo")
    bob = await b.person("bob", encryption="omemo", devices=2)
    phone, laptop = bob.devices
    with step("alice writes to both of bob's devices"):
        message = await alice.send(bob, federation.secret())
        expect(await message.read_by(phone, laptop), dict.fromkeys((phone, laptop), message.text))
    with step("bob removes his laptop: alice's device sees one device only"):
        await laptop.remove()
        expect(await alice.device.published_devices(bob), [phone.omemo_device])
    with step("what alice writes now has a key for the phone alone, as has what bob's phone writes for alice"):
        message = await alice.send(bob, federation.secret())
        expect(message.encrypted_for, {phone.omemo_device})
        expect(await message.read_by(phone), {phone: message.text})
        answer = await bob.send(alice, federation.secret())
        expect(answer.encrypted_for, {alice.device.omemo_device})
        expect(await answer.read_by(alice.device), {alice.device: answer.text})
