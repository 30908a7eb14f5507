from lab import Federation, expect, scenario, step
from lab.faults import partition


@scenario(spec="XEP-0045 18.1.2, XEP-0410")
async def split_brain_room(federation: Federation) -> None:
    """A room's host is cut from another server: both sides go on by themselves, and agree afterwards."""
    host = federation.hub()
    people = [await server.person() for server in (host, *host.neighbours)]
    near, far = people[0], people[-1]
    room = await host.room("square", occupants=people)
    async with federation.inject(partition([far.server], how="reset")):
        with step(f"{near} is heard by the others of the room's side"):
            await near.ping(far.server, reached=False)
            message = await near.send(room, "who is still here?")
            here = [person.device for person in people if person is not far]
            expect(await message.read_by(*here), dict.fromkeys(here, message.text))
        with step(f"{far} is told that nobody hears them, and that the room cannot be reached"):
            await far.ping(room, reached=False)
            message = await far.send(room, "and there?")
            outcome = await message.outcome(within="60s")
            expect((len(outcome.deliveries), len(outcome.bounces)), (0, 1))
            expect(await room.self_ping(far), "unreachable")
    with step("the room has lost them: they ping themselves, and join again"):
        await far.ping(room)
        if await room.self_ping(far) == "not-joined":
            await room.rejoin(far)
    with step("room and occupants agree on who is in it, and everybody hears everybody"):
        for person in people:
            await person.send(room, "all together")
        await room.converged(within="60s")
        everybody = tuple(sorted(f"{room.jid}/{room.nick(person)}" for person in people))
        expect(set((await room.occupant_lists()).values()), {everybody})
