"""A scenario for test_resolution_live.py: what servers look up, and what comes of it."""

from lab import Federation, scenario


async def answer(federation: Federation, name: str, rtype: str, *values: str) -> None:
    """The lab's name server says so to everybody; no value: there is no such name."""
    async with federation.lab.open_control() as control:
        records = [[rtype, value] for value in values]
        rcode = "NOERROR" if values else "NXDOMAIN"
        await control.call("override", name=name, type=rtype, rcode=rcode, records=records)


@scenario(spec="RFC 6120 3.2")
async def resolution(federation: Federation) -> None:
    """Each server writes to one without SRV records, to one whose SRV target is a name, and to one outside.

    Then its administration commands run.
    """
    ours = [federation.server(name) for name in ("ours-p", "ours-e")]
    for target in (federation.server("bare"), federation.server("named")):
        records = [] if target.name == "bare" else ["0 0 5269 elsewhere.example."]
        await answer(federation, f"_xmpp-server._tcp.{target.domain}", "SRV", *records)
        await answer(federation, "elsewhere.example" if records else target.domain, "A", target.address)
        receiver = await target.person()
        for server in ours:
            message = await (await server.person()).send(receiver, "hello")
            print(f"{server} {target}: {await message.outcome(within=20)}")
    stranger = await federation.server("nowhere").person("stranger")
    for server in ours:
        message = await (await server.person()).send(stranger, "hello")
        print(f"{server} nowhere: {await message.outcome(within=20)}")
    for server, words in (("ours-e", ["ejabberdctl", "status"]), ("ours-p", ["prosodyctl", "check", "dns"])):
        print(f"{server} {words[0]}: {await federation.lab.execute(server, words)}")
