"""Relays over loopback: what they add in time, what they hold back, how they act when their server does not answer."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from lab.declarations.links import Conditions
from lab.errors import MissingError
from lab.network import target as target_module
from lab.network.link_shaper import LinkShaper
from lab.network.listener import Listener
from lab.network.relay import RESET, Relay
from lab.network.target import Target
from lab.plan.model import RelayPlan
from tests.network.labs import loopback, on_uvloop
from tests.network.virtual_time import in_virtual_time

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PORT = 20000
HANGS = 30.0  # seconds: what has not come by then does not come


@dataclass
class Path:
    """A relay, and where its server is or would be."""

    relay: Relay
    out: LinkShaper
    back: LinkShaper
    at: tuple[str, int]
    to: tuple[str, int]

    callers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def call(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the relay; closed at the end of the path."""
        reader, writer = await asyncio.open_connection(*self.at)
        self.callers.append(writer)
        return reader, writer


@asynccontextmanager
async def path(
    serve: Serve | None, there: Conditions | None = None, back: Conditions | None = None
) -> AsyncIterator[Path]:
    """A relay to a server that handles each connection with `serve`; None: nobody listens."""
    base = loopback()
    to = (f"{base}.1.0", 5269)
    out_shaper, back_shaper = LinkShaper(there or Conditions()), LinkShaper(back or Conditions())
    plan = RelayPlan("a", "b", PORT, to, out_shaper.conditions)
    relay = Relay(plan, f"{base}.0.2", Target(to), out_shaper, back_shaper)
    await relay.listen()
    server = await asyncio.start_server(serve, *to) if serve else None
    made = Path(relay, out_shaper, back_shaper, (f"{base}.0.2", PORT), to)
    try:
        yield made
    finally:
        for writer in made.callers:
            writer.close()
        relay.close()
        if server:
            server.close()
        async with asyncio.timeout(HANGS):
            while relay.open:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)


def now() -> float:
    return asyncio.get_running_loop().time()


async def stamping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line with the time of its arrival."""
    with suppress(ConnectionResetError):
        while line := await reader.readline():
            writer.write(line.strip() + b" %.6f\n" % now())
    writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionResetError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def delays(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int, pause: float
) -> tuple[list[float], list[float]]:
    """Seconds that each of `count` lines took there and back, sent every `pause` seconds."""

    async def send() -> None:
        for _ in range(count):
            writer.write(b"%.6f\n" % now())
            await asyncio.sleep(pause)

    sending = asyncio.create_task(send())
    there, back = [], []
    for _ in range(count):
        sent, arrived = map(float, (await reader.readline()).split())
        there.append(arrived - sent)
        back.append(now() - arrived)
    await sending
    return there, back


#: Of a time on the virtual clock: half the resolution of timers, by which what is due goes with what is due before it.
EXACT = 0.001


def all_about(seconds: float, found: list[float]) -> bool:
    return all(abs(one - seconds) <= EXACT for one in found)


@pytest.mark.parametrize("latency", [0.0, 0.02, 0.05])
@in_virtual_time
async def test_latency_is_added_one_way(latency: float) -> None:
    async with path(stamping, there=Conditions(latency=latency)) as slow:
        there, back = await delays(*await slow.call(), 10, 0.004)
    assert all_about(latency, there)
    assert all_about(0.0, back), "the way back has the conditions of the other direction"


@in_virtual_time
async def test_each_direction_has_its_own_conditions() -> None:
    async with path(stamping, there=Conditions(latency=0.01), back=Conditions(latency=0.05)) as slow:
        there, back = await delays(*await slow.call(), 10, 0.005)
    assert all_about(0.01, there)
    assert all_about(0.05, back)


@in_virtual_time
async def test_jitter_spreads_and_keeps_order() -> None:
    async with path(stamping, there=Conditions(latency=0.05, jitter=0.02)) as shaky:
        there, _ = await delays(*await shaky.call(), 30, 0.005)
    assert max(there) - min(there) > 0.015
    arrivals = [0.005 * number + delay for number, delay in enumerate(there)]
    assert arrivals == sorted(arrivals)


@in_virtual_time
async def test_conditions_change_under_an_open_connection() -> None:
    async with path(stamping) as changing:
        reader, writer = await changing.call()
        before, _ = await delays(reader, writer, 5, 0.002)
        changing.out.conditions = Conditions(latency=0.04)
        during, _ = await delays(reader, writer, 5, 0.002)
        changing.out.conditions = Conditions()
        after, _ = await delays(reader, writer, 5, 0.002)
    assert all_about(0.0, before) and all_about(0.04, during) and all_about(0.0, after)


@in_virtual_time
async def test_rate_limits_bytes_per_second() -> None:
    size, rate = 50_000, 200_000
    async with path(echo, there=Conditions(rate=rate)) as narrow:
        reader, writer = await narrow.call()
        begin = now()
        writer.write(b"x" * size)
        await reader.readexactly(1)
        assert now() - begin < 0.1 * size / rate, "not all at the end"
        await reader.readexactly(size - 1)
        assert now() - begin == pytest.approx(size / rate, abs=EXACT)


@on_uvloop
async def test_all_bytes_come_in_order_whatever_the_conditions() -> None:
    data = bytes(range(256)) * 2000
    hard = Conditions(latency=0.005, jitter=0.005, rate=2_000_000)
    async with path(echo, there=hard, back=hard) as rough:
        reader, writer = await rough.call()
        writer.write(data)
        writer.write_eof()
        assert await reader.read(-1) == data
        assert (rough.relay.sent.bytes, rough.relay.answered.bytes) == (len(data), len(data))
    assert rough.relay.describe()["connections"] == 1


@pytest.mark.parametrize("conditions", [Conditions(), Conditions(latency=0.01), Conditions(rate=10**9)])
@on_uvloop
async def test_a_reader_that_does_not_read_holds_the_sender_back(conditions: Conditions) -> None:
    go = asyncio.Event()
    got = 0

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await go.wait()
        while data := await reader.read(1 << 20):
            got += len(data)
        writer.close()

    async with path(late, there=conditions) as blocked:
        reader, writer = await blocked.call()
        chunk, total = b"x" * 65536, 0
        with pytest.raises(TimeoutError):
            while total < 200 * 2**20:
                writer.write(chunk)
                total += len(chunk)
                await asyncio.wait_for(writer.drain(), 0.3)
        taken = blocked.relay.sent.bytes
        assert taken < 32 * 2**20  # kernel buffers, and at most one queue of ours
        go.set()
        writer.write_eof()
        assert await reader.read(-1) == b""
        assert got == total


@on_uvloop
async def test_a_caller_is_held_until_the_server_listens_for_the_first_time() -> None:
    async with path(None) as early:
        callers = [await early.call() for _ in range(3)]
        for _, writer in callers:
            writer.write(b"hello")
        await asyncio.sleep(0.2)
        server = await asyncio.start_server(echo, *early.to)
        for reader, writer in callers:
            assert await asyncio.wait_for(reader.readexactly(5), HANGS) == b"hello"
            writer.close()
        server.close()


@on_uvloop
async def test_a_caller_is_not_held_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_module, "START_PATIENCE", 0.2)
    async with path(None) as hopeless:
        reader, _ = await hopeless.call()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), HANGS)
        assert hopeless.relay.failures == 1
        assert hopeless.relay.target._search is None  # nobody waits: nobody looks


@on_uvloop
async def test_a_server_that_was_there_and_is_gone_gets_its_callers_reset_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(target_module, "START_PATIENCE", 3600.0)  # nobody waits for it a second time
    monkeypatch.setattr(target_module, "DIAL_LIMIT", 3600.0)
    async with path(None) as mortal:
        server = await asyncio.start_server(echo, *mortal.to)
        reader, writer = await mortal.call()
        writer.write(b"hello")
        await reader.readexactly(5)
        writer.close()
        server.close()
        reader, _ = await mortal.call()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), HANGS)
        writer.close()
        assert mortal.relay.describe()["failures"] == 1


@on_uvloop
async def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_module, "DIAL_LIMIT", 0.3)
    async with path(None) as stuck:
        stuck.relay.target.reached = True
        deaf = Listener(*stuck.to, asyncio.Protocol, "a server without ears")
        deaf.ignore()
        reader, _ = await stuck.call()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), HANGS)
        deaf.close()


@on_uvloop
async def test_a_half_closed_stream_still_answers() -> None:
    async def sums(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        everything = await reader.read(-1)
        writer.write(b"%d" % len(everything))
        writer.close()

    async with path(sums, there=Conditions(latency=0.01), back=Conditions(latency=0.01)) as polite:
        reader, writer = await polite.call()
        writer.write(b"x" * 1000)
        writer.write_eof()
        assert await reader.read(-1) == b"1000"


@on_uvloop
async def test_a_reset_travels_on_behind_what_was_sent() -> None:
    lost = asyncio.get_running_loop().create_future()

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got = b""
        try:
            while data := await reader.read(100):
                got += data
            lost.set_result((got, "end"))
        except ConnectionResetError:
            lost.set_result((got, "reset"))
        writer.close()

    async with path(record, there=Conditions(latency=0.05)) as cut:
        _, writer = await cut.call()
        writer.write(b"last words")
        await asyncio.sleep(0.02)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
        assert await asyncio.wait_for(lost, HANGS) == (b"last words", "reset")


@on_uvloop
async def test_reset_all_resets_both_ends() -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(100):
                await seen.put("data")
            await seen.put("end")
        except ConnectionResetError:
            await seen.put("reset")
        writer.close()

    async with path(watch) as cut:
        reader, writer = await cut.call()
        writer.write(b"x")
        assert await asyncio.wait_for(seen.get(), HANGS) == "data"
        cut.relay.reset_all()
        assert await asyncio.wait_for(seen.get(), HANGS) == "reset"
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), HANGS)


@on_uvloop
async def test_an_ear_listens_refuses_and_goes_deaf_in_any_order() -> None:
    address = f"{loopback()}.0.2"
    listener = Listener(address, PORT, asyncio.Protocol, "a listener")

    async def outcome(patience: float = HANGS) -> str:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, PORT), patience)
        except TimeoutError:
            return "silence"
        except ConnectionRefusedError:
            return "refused"
        writer.close()
        return "accepted"

    try:
        for _ in range(2):
            await listener.listen()
            assert await outcome() == "accepted"
            listener.ignore()
            assert [await outcome(0.3), await outcome(0.3)] == ["silence", "silence"]
            listener.close()
            assert await outcome() == "refused"
        listener.ignore()
        await listener.listen()
        assert await outcome() == "accepted"
    finally:
        listener.close()


@on_uvloop
async def test_a_port_that_is_taken_is_named() -> None:
    address = f"{loopback()}.0.2"
    with socket.create_server((address, PORT)), pytest.raises(MissingError) as caught:
        await Listener(address, PORT, asyncio.Protocol, "the relay from a to b").listen()
    assert str(caught.value) == (
        f"the relay from a to b cannot listen on {address} port 20000: Address already in use; "
        "end what listens there, or give the lab another network"
    )


def test_reset_is_a_linger_of_no_time() -> None:
    assert struct.unpack("ii", RESET) == (1, 0)
