from lab import Federation, NotApplicable, expect, scenario, step

LIST = "eu.siacs.conversations.axolotl.devicelist"
PUBSUB = "http://jabber.org/protocol/pubsub"
ASK = f"<iq type='get'><pubsub xmlns='{PUBSUB}'><items node='{LIST}'/></pubsub></iq>"
PUBLISH = (
    f"<iq type='set'><pubsub xmlns='{PUBSUB}'><publish node='{LIST}'><item id='current'>"
    "<list xmlns='eu.siacs.conversations.axolotl'><device id='7'/></list></item></publish></pubsub></iq>"
)
#: Whether a server's errors repeat the request: RFC 6120 leaves it to servers.
REPEATS = {"ejabberd": True, "prosody": False}


@scenario(spec="RFC 6120 8.3.1, XEP-0384 0.3 4.3")
async def error_repeats_request(federation: Federation) -> None:
    """Why Profanity 0.15 has no OMEMO on Prosody: it needs an error that repeats the request, as ejabberd's does."""
    for here, there in (pair := federation.linked_pair(), pair[::-1]):
        if (software := here.spec.software) not in REPEATS:
            raise NotApplicable(f"whether errors of {software} repeat the request is not known")
        repeats = REPEATS[software]
        alice, bob = await here.person("alice"), await there.person("bob")
        with step(f"{here}: a new account has no device list, and the condition of the error says so"):
            answer = await alice.device.iq(ASK)
            expect((answer.type, answer.condition), ("error", "item-not-found"))
        with step(f"{software} {'repeats' if repeats else 'does not repeat'} the request in the error"):
            expect("<pubsub" in answer.xml, repeats)
        outcome = "publishes its list" if repeats else "never publishes its list"
        with step(f"a client that looks for the request, or for the code 404 of old, {outcome}"):
            if "<pubsub" in answer.xml or 'code="404"' in answer.xml:
                await alice.device.iq(PUBLISH)
            expect("<device" in (await alice.device.iq(ASK)).xml, repeats)
        with step("a client that looks at the condition publishes it"):
            if answer.condition == "item-not-found":
                await alice.device.iq(PUBLISH)
            expect("<device" in (await alice.device.iq(ASK)).xml, True)
        with step("what is not encrypted needs no list"):
            expect(await (await bob.send(alice, "hello")).outcome(), federation.link(there, here).promise)
