from lab import Federation, expect, scenario, step


@scenario(spec="RFC 6121 2.1, 8.5.1, XEP-0313")
async def move_house(federation: Federation) -> None:
    """Somebody moves to another server: friends agree anew, one by one; the archive and the old address are lost."""
    old, new = federation.linked_pair()
    alice, friends = await old.person("alice"), [await old.person(), await new.person()]
    for friend in friends:
        await federation.befriend(alice, friend)
        message = await friend.send(alice, "remember this")
        expect(await message.outcome(), message.promise)
    contacts = list(await alice.roster())
    with step(f"she makes an account on {new}: nothing has moved with her"):
        moved = await new.person("alice")
        expect((list(await moved.roster()), await moved.device.archive()), ([], []))
    with step("she takes the addresses along, asks each contact, and they agree"):
        expect(sorted(contacts), sorted(friend.jid for friend in friends))
        for friend in friends:
            await federation.befriend(moved, friend)
    with step(f"the account on {old} is deleted: whoever writes there is told"):
        await old.delete(alice)
        for friend in friends:
            outcome = await (await friend.send(alice, "are you still here?")).outcome()
            expect([one.condition for one in outcome.bounces], ["service-unavailable"])
    with step("they reach her at the new address"):
        for friend in friends:
            for message in (
                await friend.send(moved, "there you are"),
                await moved.send(friend, "my new house"),
            ):
                expect(await message.outcome(), message.promise)
        texts = [one.text for one in await moved.device.archive()]
        expect("remember this" in texts, False)
