from lab import Federation, PeerError, expect, scenario, step


@scenario(spec="XEP-0384 5.8, XEP-0045 4.2")
async def omemo_room_anonymous_refused(federation: Federation) -> None:
    """Encryption needs to know for whom: in a room that turns semi-anonymous nothing is sent, in the clear neither."""
    a, b = federation.linked_pair()
    alice, bob = await a.person("alice", encryption="omemo"), await b.person("bob", encryption="omemo")
    room = await a.room("hall", occupants=[alice, bob], members_only=True, non_anonymous=True)
    with step("everybody sees who is there: what bob says is read"):
        message = await bob.send(room, federation.secret())
        expect(await message.read_by(alice.device), {alice.device: message.text})
    with step("the room hides people's addresses: bob's device refuses, and alice's, who as its owner still sees them"):
        await room.configure(non_anonymous=False)
        for person in (alice, bob):
            refusal = ""
            try:
                await person.send(room, federation.secret())
            except PeerError as error:
                refusal = str(error)
            expect("is semi-anonymous" in refusal, True)
    with step("the room shows them again: what alice says is read"):
        await room.configure(non_anonymous=True)
        message = await alice.send(room, federation.secret())
        expect(await message.read_by(bob.device), {bob.device: message.text})
