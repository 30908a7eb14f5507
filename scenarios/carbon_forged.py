from lab import Federation, expect, scenario, step
from lab.faults import forge_carbon


@scenario(spec="XEP-0280 11")
async def carbon_forged(federation: Federation) -> None:
    """A server sends bob a copy of what carol never wrote: his device ignores it, since it is not from himself."""
    a, b = federation.linked_pair()
    mallory, bob, carol = await a.person("mallory"), await b.person("bob"), await b.person("carol")
    async with federation.inject(forge_carbon(at=a, to=bob, claims=carol)) as forgery:
        with step("mallory writes, and with it his server sends a forged copy, in the name of carol"):
            message = await mallory.send(bob, "hello")
            copy = await forgery.sent(message)
            expect(await message.outcome(), federation.link(a, b).promise)
        with step("bob's device gets the copy, and shows what mallory wrote alone"):
            await bob.device.received(lambda stanza: copy in stanza.xml)
            expect([one.device for one in (await message.outcome()).deliveries], [bob.device.jid])
    with step("a copy of what carol has really written is one for bob's own devices, from his own account"):
        tablet = await bob.add_device("tablet")
        real = await carol.send(bob.device, "hello, bob")
        expect(await real.read_by(tablet), {tablet: real.text})
