from lab import Federation, expect, scenario, step

WAITING = 200


@scenario(spec="XEP-0313 4, XEP-0384 0.9 6")
async def omemo_archive_catch_up(federation: Federation) -> None:
    """Bob's laptop missed two hundred messages: it reads all in the archive, in order, and answers each writer once."""
    a, b = federation.linked_pair()
    alice, carol = await a.person("alice", encryption="omemo"), await a.person("carol", encryption="omemo")
    bob = await b.person("bob", encryption="omemo", devices=2)
    phone, laptop = bob.devices
    with step("the laptop is away; alice and carol write, and bob reads it on his phone"):
        await laptop.disconnect()
        sent = [await (alice, carol)[number % 2].send(bob, federation.secret()) for number in range(WAITING)]
        expect(await sent[-1].read_by(phone), {phone: sent[-1].text})
    with step("the laptop is back: nothing waited for it, all of it is in the archive"):
        await laptop.connect()
        expect([one for one in sent if any(it.device == laptop.jid for it in one.deliveries)], [])
        await laptop.archive(deliver=True)
    with step("it reads each of them once, and in the order in which each of the two wrote"):
        for message in sent:
            expect(await message.read_by(phone, laptop), dict.fromkeys((phone, laptop), message.text))
            expect([one.via for one in message.deliveries if one.device == laptop.jid], ["archive"])
    with step("it has answered each of the two with one empty message; a second catch-up finds nothing new"):
        await laptop.archive(deliver=True)
        out = [one for one in laptop.stanzas if one.direction == "out" and "<encrypted" in one.xml]
        expect(sorted(str(one.receiver) for one in out), [alice.jid, carol.jid])
        expect([len(one.deliveries) for one in sent], [2] * WAITING)
