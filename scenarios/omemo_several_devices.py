from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0384 0.3, XEP-0280 7")
async def omemo_several_devices(federation: Federation) -> None:
    """Two devices and three: a message has a key for each of the other four, and each reads it once."""
    a, b = federation.linked_pair()
    alice = await a.person("alice", encryption="omemo", devices=2)
    bob = await b.person("bob", encryption="omemo", devices=3)
    phone, laptop = alice.devices
    with step("alice's phone sees all of bob's devices"):
        expect(
            sorted(await phone.published_devices(bob)),
            sorted(device.omemo_device for device in bob.devices if device.omemo_device is not None),
        )
    with step("the phone writes: bob's devices and alice's laptop read it"):
        message = await phone.send(bob, federation.secret())
        expect(message.encrypted_for, {one.omemo_device for one in (*bob.devices, laptop)})
        reads = await message.read_by(*bob.devices, laptop)
        expect(reads, dict.fromkeys((*bob.devices, laptop), message.text))
    with step("bob answers from his second device: everyone else's reads it"):
        answer = await bob.devices[1].send(alice, federation.secret())
        others = (phone, laptop, bob.devices[0], bob.devices[2])
        expect(answer.encrypted_for, {one.omemo_device for one in others})
        expect(await answer.read_by(*others), dict.fromkeys(others, answer.text))
