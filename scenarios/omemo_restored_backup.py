from lab import Federation, expect, scenario, step
from lab.federation import Person


@scenario(spec="XEP-0384 0.9 8", expects={"delivery": "failed"})
async def omemo_restored_backup(federation: Federation) -> None:
    """Bob's device is restored from an old backup: both notice what they cannot read, until the session is replaced."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")

    async def is_read(sender: Person, receiver: Person) -> bool:
        message = await sender.send(receiver, federation.secret())
        return await message.read_by(receiver.device) == {receiver.device: message.text}

    with step("the two write to each other; bob's device is copied"):
        expect([await is_read(alice, bob), await is_read(bob, alice)], [True, True])
        await bob.disconnect()
        backup = await bob.device.back_up()
        await bob.connect()
    with step("they go on, then the device breaks, and another one gets what the backup has"):
        expect([await is_read(alice, bob), await is_read(bob, alice)], [True, True])
        await bob.disconnect()
        await bob.device.restore(backup)
        await bob.connect()
    with step("bob's key is the same, and no server has seen anything: what either writes is not read"):
        expect(await alice.compare_fingerprint(bob), "match")
        expect([await is_read(alice, bob), await is_read(bob, alice)], [False, False])
    with step("nor does it heal by itself"):
        expect([await is_read(alice, bob), await is_read(bob, alice)], [False, False])
    with step("bob has his device replace the session: from then on both read everything; what was lost stays lost"):
        await bob.device.replace_sessions(alice)
        expect([await is_read(alice, bob), await is_read(bob, alice)], [True, True])
