from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0384 5.8, XEP-0045 9.5, XEP-0313")
async def omemo_room_offline_member(federation: Federation) -> None:
    """An encrypted room: a member who is away, and one who was never there, read what was said from its archive."""
    a, b = federation.linked_pair()
    alice = await a.person("alice", encryption="omemo+omemo:2")
    bob = await b.person("bob", encryption="omemo")
    carol = await b.person("carol", encryption="omemo:2")
    room = await a.room("cellar", occupants=[alice, bob], members=[carol], members_only=True, non_anonymous=True)
    await bob.disconnect()
    with step("alice writes while she is alone in the room: there are keys for both members"):
        messages = [await alice.send(room, federation.secret()) for _ in range(3)]
        for message in messages:
            expect(message.encrypted_for, {bob.device.omemo_device, carol.device.omemo_device})
    with step("bob comes back, carol joins: each reads the room's archive, with the version of OMEMO that they have"):
        await bob.connect()
        await room.join(bob, carol)
        for person in (bob, carol):
            await person.device.archive(room, deliver=True)
            for message in messages:
                expect(await message.read_by(person.device), {person.device: message.text})
    with step("what is said now reaches all at once, in rooms where everybody speaks alike"):
        answer = await alice.send(room, federation.secret())
        readers = (bob.device, carol.device)
        expect(await answer.read_by(*readers), dict.fromkeys(readers, answer.text))
