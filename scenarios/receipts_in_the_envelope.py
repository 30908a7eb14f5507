from lab import Federation, expect, scenario, step


@scenario(spec="XEP-0420 3, XEP-0184, XEP-0333, XEP-0085")
async def receipts_in_the_envelope(federation: Federation) -> None:
    """Typing, receipts and markers: with OMEMO 0.3 every server reads them, with OMEMO 2 only whom they are for."""
    a, b = federation.linked_pair()
    for encryption, visible in (("omemo", True), ("omemo:2", False)):
        alice = await a.person("alice", encryption=encryption)
        bob = await b.person("bob", encryption=encryption)
        with step(f"{encryption}: alice types and writes; bob's device confirms that it has it, and that bob saw it"):
            await alice.device.chat_state(bob, "composing")
            message = await alice.send(bob, federation.secret(), receipt=True)
            expect(await message.outcome(), federation.link(a, b).promise)
            receipt = await message.acknowledged(within="30s")
            expect(receipt.device, bob.device.jid)
            await bob.device.mark(message)
        with step(f"{encryption}: each is told what the other does"):
            await bob.device.received("composing")
            await alice.device.received("displayed")
        with step(f"{encryption}: {'servers read it' if visible else 'servers do not read it'}"):
            received = [one for one in (*alice.device.stanzas, *bob.device.stanzas) if one.direction == "in"]
            passed = "".join(one.xml for one in received if not one.decrypted)
            for what in ("chatstates", "urn:xmpp:receipts", "chat-markers"):
                expect(what in passed, visible)
