from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0384 5.8, XEP-0045 9.4")
async def omemo_room_membership(federation: Federation) -> None:
    """Who is removed from an encrypted room has no key in the next message; who is added has one at once."""
    a, b = federation.linked_pair()
    alice, dave = await a.person("alice", encryption="omemo:2"), await a.person("dave", encryption="omemo:2")
    bob, carol = await b.person("bob", encryption="omemo:2"), await b.person("carol", encryption="omemo:2")
    room = await b.room("attic", occupants=[bob, alice, dave], members_only=True, non_anonymous=True)
    first, second, third = (one.device.omemo_device for one in (bob, carol, dave))
    with step("all three read what alice says"):
        message = await alice.send(room, federation.secret())
        expect(message.encrypted_for, {first, third})
        expect(await message.read_by(bob.device, dave.device), dict.fromkeys((bob.device, dave.device), message.text))
    with step("bob kicks dave, who is a member all the same: there is a key for him still"):
        await room.kick(dave)
        expect((await alice.send(room, federation.secret())).encrypted_for, {first, third})
    with step("bob ends dave's membership: the next message has no key for him"):
        await room.affiliation(dave, "none")
        message = await alice.send(room, federation.secret())
        expect(message.encrypted_for, {first})
        expect(await message.read_by(bob.device), {bob.device: message.text})
    with step("bob makes carol a member, who is not in the room yet: the next message has a key for her"):
        await room.affiliation(carol, "member")
        message = await alice.send(room, federation.secret())
        expect(message.encrypted_for, {first, second})
    with step("carol joins and reads it from the archive; what was said before she cannot read"):
        await room.join(carol)
        await carol.device.archive(room, deliver=True)
        expect(await message.read_by(carol.device), {carol.device: message.text})
    await room.converged()
