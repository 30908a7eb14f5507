from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0384 0.3, XEP-0280 7")
async def omemo_two_devices(federation: Federation) -> None:
    """Both people use two devices: each device reads each message once, the sender's other one too."""
    a, b = federation.linked_pair()
    alice = await a.person("alice", encryption="omemo", devices=2)
    bob = await b.person("bob", encryption="omemo", devices=2)
    phone, laptop = alice.devices
    with step("alice's phone sees both of bob's devices"):
        expect(
            sorted(await phone.published_devices(bob)),
            sorted(device.omemo_device for device in bob.devices if device.omemo_device is not None),
        )
    with step("the phone writes: bob's devices and alice's laptop read it"):
        message = await phone.send(bob, federation.secret())
        reads = await message.read_by(*bob.devices, laptop)
        expect(reads, dict.fromkeys((*bob.devices, laptop), message.text))
    with step("bob answers from his second device: everyone else's reads it"):
        answer = await bob.devices[1].send(alice, federation.secret())
        reads = await answer.read_by(phone, laptop, bob.devices[0])
        expect(reads, dict.fromkeys((phone, laptop, bob.devices[0]), answer.text))
