from lab import Federation, expect, scenario, step


@scenario(spec="RFC 6120 10.4")
async def everyone_writes(federation: Federation) -> None:
    """Everyone writes to everyone: a link delivers, a missing link bounces."""
    people = await federation.people()  # one per server, online
    with step("everyone writes to everyone else"):
        messages = [await a.send(b, "hello") for a in people for b in people if a is not b]
    with step("links deliver, the others bounce as promised"):
        for message in messages:
            link = federation.link(message.sender.server, message.receiver.server)
            expect(await message.outcome(), link.promise)
