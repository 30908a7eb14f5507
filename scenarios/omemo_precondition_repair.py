from lab import Federation, expect, scenario, step

PUBSUB = "http://jabber.org/protocol/pubsub"
LIST = "eu.siacs.conversations.axolotl.devicelist"
CLOSED = (
    f"<iq type='set'><pubsub xmlns='{PUBSUB}'><create node='{LIST}'/><configure><x xmlns='jabber:x:data' type='submit'>"
    f"<field var='FORM_TYPE' type='hidden'><value>{PUBSUB}#node_config</value></field>"
    "<field var='pubsub#access_model'><value>whitelist</value></field></x></configure></pubsub></iq>"
)


@scenario(spec="XEP-0060 7.1.5, XEP-0384 0.3 4.3")
async def omemo_precondition_repair(federation: Federation) -> None:
    """A client left a device list that nobody may read: the next one is told so, opens it and publishes again."""
    for here, there in (pair := federation.linked_pair(), pair[::-1]):
        alice, bob = await here.person("alice", encryption="omemo"), await there.person("bob")
        with step(f"{there}: bob's old client makes a device list for himself only, and goes"):
            expect((await bob.device.iq(CLOSED)).type, "result")
            await bob.disconnect()
        with step("his new client is refused (precondition-not-met), opens the list and publishes again"):
            phone = await bob.add_device("phone", encryption="omemo")
            refused = [one for one in phone.stanzas if one.direction == "in" and "precondition-not-met" in one.xml]
            opened = [
                one for one in phone.stanzas if one.direction == "out" and "#owner" in one.xml and LIST in one.xml
            ]
            expect((len(refused), len(opened)), (1, 1))
        with step("strangers can fetch it now: both write and read"):
            for sender, receiver in ((alice, bob), (bob, alice)):
                expect(str(await sender.attempt(receiver, federation.secret())), "read (omemo)")
