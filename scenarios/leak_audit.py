from lab import Federation, expect, record_table, scenario, step

#: What is beside the text, and by what it is recognised in the stanzas that both servers hand on.
WHAT = {
    "subject": "<subject",
    "correction": "urn:xmpp:message-correct:0",
    "receipt": "urn:xmpp:receipts",
    "typing": "http://jabber.org/protocol/chatstates",
    "seen": "urn:xmpp:chat-markers:0",
}
OPEN = {"plain": {*WHAT, "file"}, "otr": {*WHAT}, "omemo": {*WHAT, "device"}, "omemo:2": {"device"}}


@scenario(spec="XEP-0384 2.1, XEP-0420 3, XEP-0454", encryptions=["otr"])
async def leak_audit(federation: Federation) -> None:
    """What is beside the text, and what servers read of it: without encryption all, with OMEMO 2 only whose device."""
    (a, b), columns = federation.linked_pair(), list[list[str]]()
    for encryption, seen in OPEN.items():
        alice, bob = await a.person(encryption=encryption), await b.person(encryption=encryption)
        with step(f"{encryption}: alice sends the address of a file, with a subject, corrects it, and bob has seen it"):
            url = await alice.device.upload(b"a drawing", encrypted=encryption != "plain")
            text = url if encryption == "plain" else f"{url} {federation.secret()}"
            first = await alice.device.send(bob, text, receipt=True, extensions=["<subject>the house</subject>"])
            await first.acknowledged()
            second = await alice.device.send(bob, text, correct=first)
            expect((await second.outcome()).settled, True)
            await alice.device.chat_state(bob, "composing")
            await bob.device.mark(second)
            await bob.device.received("composing")
            await alice.device.received("displayed")
        with step(f"{encryption}: servers read {', '.join(sorted(seen)) or 'nothing'}"):
            handed = [one for one in (*alice.device.stanzas, *bob.device.stanzas) if one.direction == "in"]
            passed = "".join(one.xml for one in handed if not one.decrypted and one.name == "message")
            name = url.partition("#")[0].rpartition("/")[2]
            marks = {**WHAT, "file": f"/{name}", "device": f'sid="{alice.device.omemo_device}"'}
            found = {what for what, mark in marks.items() if mark in passed}
            columns.append(["read" if what in found else "-" for what in marks])
            expect(found, seen)
    rows = [[*row] for row in zip([*WHAT, "file", "device"], *columns, strict=True)]
    record_table("What both servers read beside the text", ["", *OPEN], rows, ["file: its address; device: whose"])
