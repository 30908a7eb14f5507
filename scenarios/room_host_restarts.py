from lab import Federation, expect, scenario, step
from lab.faults import restart


@scenario(spec="XEP-0045 11.2, XEP-0410")
async def room_host_restarts(federation: Federation) -> None:
    """The room's host restarts: nobody stays in it as a ghost, all find out and meet in the room again."""
    host = federation.hub()
    people = [await server.person() for server in (host, *host.neighbours)]
    room = await host.room("square", occupants=people)
    async with federation.inject(restart(host)):
        with step(f"{host} has restarted: its own people log in again, the others reach it"):
            await people[0].connect()
            for person in people[1:]:
                await person.ping(room)
    with step("everybody asks whether they are still in the room, and joins again if not"):
        for person in [one for one in people if await room.self_ping(one) == "not-joined"]:
            await room.rejoin(person)
    with step("room and occupants agree on who is in it, and everybody hears everybody"):
        for person in people:
            await person.send(room, "all together")
        await room.converged(within="60s")
        everybody = tuple(sorted(f"{room.jid}/{room.nick(person)}" for person in people))
        expect(set((await room.occupant_lists()).values()), {everybody})
