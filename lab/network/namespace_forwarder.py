"""Carries what programs in a network namespace of their own say to the lab's servers and name server.

The listening sockets are made inside the namespace and handed to a process outside: a socket stays in the namespace
that it was made in, so that process accepts inside and connects outside, to the address that the program meant. No
process of the lab's runs inside, and nothing outside but the lab's servers can be reached.

Inside, the name server is at three addresses: that of the namespace's resolv.conf, the one that resolvers ask where
there is no such file, and its own, for a program that starts another one in a namespace of that one's own.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import signal
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lab.plan.client_view import ClientView

RESOLVER = "127.0.0.53"  # where programs inside ask for names
_FALLBACK = "127.0.0.1"
_DNS_PORT = 53
_BACKLOG = 128
_CHUNK = 64 * 1024  # bytes read at a time
_BATCH = 200  # sockets handed over at a time: the kernel takes 253 (SCM_MAX_FD)
_DNS_PATIENCE = 10.0  # seconds that the answer to a datagram is waited for
_END = b"."  # the last message on the socket, without sockets


def hand_over(view: ClientView, to: socket.socket) -> None:
    """Listen, in this process's namespace, where the lab's servers do, and hand the sockets to another process."""
    for batch in _batches(view):
        descriptors = array.array("i", [one.fileno() for one in batch])
        to.sendmsg([b"+"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        for one in batch:
            one.close()
    to.sendall(_END)


def take_over(received_from: socket.socket) -> list[socket.socket]:
    """The listening sockets that another process hands over; none if it has ended before it had handed over all."""
    found: list[socket.socket] = []
    while True:
        message, descriptors, _, _ = socket.recv_fds(received_from, 1, _BATCH)
        found += [socket.socket(fileno=one) for one in descriptors]
        if message == _END:
            return found
        if not message:
            for one in found:
                one.close()
            return []


def _batches(view: ClientView) -> Iterator[list[socket.socket]]:
    wanted = [(socket.SOCK_STREAM, server.address, port) for server in view.servers for port in server.ports]
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    resolvers = ((RESOLVER, _DNS_PORT), (_FALLBACK, _DNS_PORT), view.dns)
    wanted += [(kind, address, port) for address, port in resolvers for kind in kinds]
    for start in range(0, len(wanted), _BATCH):
        yield [_listen(*one) for one in wanted[start : start + _BATCH]]


def _listen(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, kind)
    made.bind((address, port))
    if kind == socket.SOCK_STREAM:
        made.listen(_BACKLOG)
    return made


async def forward(listeners: Sequence[socket.socket], dns: tuple[str, int], until: int) -> None:
    """Carry connections and datagrams between both networks until the descriptor `until` (pidfd_open(2)) is readable.

    Connections that are open then are cut.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(until, ended.set)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")
        await carry(reader, writer, dns if port == _DNS_PORT else (address, port))

    for one in listeners:
        one.setblocking(False)
        if one.type == socket.SOCK_DGRAM:
            await loop.create_datagram_endpoint(lambda: _Questions(dns), sock=one)
        else:
            await asyncio.start_server(serve, sock=one, limit=_CHUNK)
    await ended.wait()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: tuple[str, int]) -> None:
    """Connect to the target and carry bytes both ways until both ends are closed, or one is reset."""
    try:
        there, back = await asyncio.open_connection(*target, limit=_CHUNK)
    except OSError:  # the server is down: the program sees a reset
        _reset(writer)
        return
    directions = [asyncio.create_task(_pump(reader, back)), asyncio.create_task(_pump(there, writer))]
    done, _ = await asyncio.wait(directions, return_when=asyncio.FIRST_EXCEPTION)
    broken = any(one.exception() is not None for one in done)
    for task in directions:
        task.cancel()
    for end in (writer, back):
        if broken:
            _reset(end)
        else:
            end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # it is reset already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class _Questions(asyncio.DatagramProtocol):
    """Datagrams from inside, each asked outside with a socket of its own."""

    def __init__(self, dns: tuple[str, int]) -> None:
        self._dns = dns
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        task = asyncio.get_running_loop().create_task(self._ask(data, addr))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask(self, data: bytes, addr: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with outside, contextlib.suppress(OSError, TimeoutError):  # no name server, no answer: the program asks again
            outside.connect(self._dns)
            await loop.sock_sendall(outside, data)
            async with asyncio.timeout(_DNS_PATIENCE):
                self._transport.sendto(await loop.sock_recv(outside, 65535), addr)


def start(dns: tuple[str, int], until: int, log: Path) -> socket.socket:
    """Start a process in this network that forwards until the descriptor `until` is readable.

    The answer is the socket to `hand_over` to. The process is no child of this one, which may become a program that
    waits for all its children; it has neither the terminal nor any open file of this process's. What goes wrong in it
    is written to the end of `log`.
    """
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                _serve(theirs, dns, until, log)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    theirs.close()
    return ours


def _serve(handed: socket.socket, dns: tuple[str, int], until: int, log: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, file in enumerate((null, null, written)):
        os.dup2(file, descriptor)
    kept = {0, 1, 2, handed.fileno(), until}
    for descriptor in {int(one) for one in os.listdir("/proc/self/fd")} - kept:  # noqa: PTH208 - names are wanted
        with contextlib.suppress(OSError):  # that of the listing itself
            os.close(descriptor)  # a pipe that stayed open here would keep its reader waiting
    if listeners := take_over(handed):
        asyncio.run(forward(listeners, dns, until))
