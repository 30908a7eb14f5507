from lab import Federation, NotApplicable, PeerError, expect, scenario, step


@scenario(spec="XEP-0077, XEP-0445, XEP-0277")
async def own_network(federation: Federation) -> None:
    """Friends on a server of their own, by invitation only, write to strangers elsewhere: posts are for friends."""
    own, elsewhere = federation.linked_pair()
    alice, stranger = await own.person("alice"), await elsewhere.person()
    with step(f"nobody comes to {own} by themselves"):
        try:
            answer = (await own.register(f"friend-of-{alice.name}")).jid
        except PeerError as error:
            answer = "refused" if error.condition else ""
        expect(answer, "refused")
    with step("a friend comes by invitation; where a server has none, its owner makes the account"):
        try:
            await own.registration("invited")
            friend = await own.register(f"friend-of-{alice.name}", invitation=await own.invitation())
        except NotApplicable:
            friend = await own.person("friend")
        await own.registration("closed")
        await federation.befriend(alice, friend)
    with step("posts are for friends: who follows her is told, and the stranger may not read them"):
        first = await alice.publish("I have moved in")
        await friend.follow(alice)
        second = await alice.publish("come and see")
        await friend.device.received(second.id)
        expect({one.text for one in await friend.posts(alice)}, {first.text, second.text})
        try:
            answer = str(await stranger.posts(alice))
        except PeerError as error:
            answer = "refused" if error.condition else ""
        expect(answer, "refused")
    with step(f"alice and the stranger on {elsewhere} write to each other all the same"):
        for message in (await alice.send(stranger, "hello"), await stranger.send(alice, "nice to meet you")):
            expect(await message.outcome(), message.promise)
