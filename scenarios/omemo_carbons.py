from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0384 0.3 4.5, XEP-0280")
async def omemo_carbons(federation: Federation) -> None:
    """What one device sends or gets, the others of the same person read in carbon copies, each with its own key."""
    a, b = federation.linked_pair()
    alice = await a.person("alice", encryption="omemo", devices=2)
    bob = await b.person("bob", encryption="omemo")
    phone, laptop = alice.devices
    with step("alice's phone writes: her laptop reads the copy of what was sent"):
        message = await phone.send(bob, federation.secret())
        expect(message.encrypted_for, {bob.device.omemo_device, laptop.omemo_device})
        expect(await message.read_by(bob.device, laptop), dict.fromkeys((bob.device, laptop), message.text))
        (copy,) = [one for one in (await message.outcome()).deliveries if one.device == laptop.jid]
        expect(copy.via, "carbon")
    with step("bob answers to her phone alone: her laptop reads the copy of what was received"):
        answer = await bob.send(phone, federation.secret())
        expect(await answer.read_by(phone, laptop), dict.fromkeys((phone, laptop), answer.text))
    with step("alice asks servers for no copies: her laptop, for which there is a key, does not get it"):
        private = await phone.send(bob, federation.secret(), private=True)
        expect(await private.read_by(bob.device), {bob.device: private.text})
        marker = await phone.send(bob, federation.secret())
        expect(await marker.read_by(bob.device, laptop), dict.fromkeys((bob.device, laptop), marker.text))
        expect([one.device for one in (await private.outcome()).deliveries], [bob.device.jid])
