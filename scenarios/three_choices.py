import secrets

from lab import Federation, PeerError, expect, scenario, step


@scenario(spec="XEP-0077 3.1, RFC 6120 10.4")
async def three_choices(federation: Federation) -> None:
    """One chooses a client, a server and a name, and writes to anybody on any server: nobody else is asked."""
    home, elsewhere = federation.linked_pair()
    stranger, name = await elsewhere.person(), f"nova-{secrets.token_hex(3)}"
    await home.registration("open")
    try:
        with step(f"she registers {name} on {home}, with nobody's leave"):
            nova = await home.register(name)
            expect(nova.jid, f"{name}@{home.domain}")
        with step("the same name again is taken on this server"):
            try:
                answer = (await home.register(name)).jid
            except PeerError as error:
                answer = error.condition
            expect(answer, "conflict")
        with step(f"she writes to a stranger on {elsewhere}, who answers"):
            for message in (await nova.send(stranger, "hello"), await stranger.send(nova, "who are you?")):
                expect(await message.outcome(), message.promise)
    finally:
        await home.registration("closed")
