from lab import Federation, NotApplicable, expect, scenario, step


@scenario(spec="RFC 6120 13.7.1, XEP-0178")
async def bad_certificate(federation: Federation) -> None:
    """A wrong certificate keeps streams down: senders are told at once. People log in as usual."""
    bad = [server for server in federation.servers if server.spec.certificate != "valid" and server.linked]
    if not bad:
        raise NotApplicable("no server of this topology has a wrong certificate and a link")
    people = {person.server: person for person in await federation.people()}
    for server in bad:
        with step(f"{server.spec.certificate}: {server} and those that it has a link with write to each other"):
            for other in server.linked:
                for sender, receiver in ((other, server), (server, other)):
                    message = await people[sender].send(people[receiver], "hello?")
                    expect(await message.outcome(), federation.link(sender, receiver).promise)
