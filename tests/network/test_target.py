"""A server that relays lead to, before it is there."""

import asyncio

from lab.network.target import Target


async def test_an_address_that_nobody_has_yet_is_not_dialled() -> None:
    came, there, told = [], False, asyncio.Event()

    def is_there() -> bool:
        told.set()
        return there

    server = await asyncio.start_server(lambda reader, writer: (came.append(1), writer.close()), "127.0.0.1", 0)
    async with server:
        target = Target(server.sockets[0].getsockname(), is_there)
        dialling = asyncio.create_task(target.dial(asyncio.Protocol))
        for _ in range(3):  # looks
            told.clear()
            await asyncio.wait_for(told.wait(), 30)
        assert not came and not target.reached
        there = True
        await asyncio.wait_for(dialling, 30)
    assert target.reached and came == [1]
