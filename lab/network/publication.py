"""Publishes the client ports of a lab's servers on an address of this machine, for a phone in the room.

The command that brings a lab up listens, so that an address or a port that cannot be had is an error there, and hands
the sockets to a process of its own, which carries bytes to the servers and back. That process ends when the lab is
ended, and when the lab's service is, however it ended: then these ports may be somebody else's. A server that is down
resets connections. Nothing but these ports is published.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import MissingError, UserError
from lab.network.namespace_forwarder import carry
from lab.plan.client_view import ClientView
from lab.plan.layout import Layout
from lab.system.files import write_private
from lab.system.locks import is_held
from lab.system.processes import MARK, Identity
from lab.system.subprocesses import build_python_command

STEP = 100  # between the ports of one server and those of the next: all have the same on their own addresses
_FILE = "publication.json"
_BACKLOG = 128
_POLL = 0.2  # seconds between two looks whether the lab is still there


@dataclass(frozen=True)
class PublishedServer:
    """Where clients elsewhere reach a server."""

    name: str
    domain: str
    port: int  # STARTTLS (RFC 6120 section 14.7)
    tls_port: int  # direct TLS (XEP-0368)


def check_address(text: str) -> str:
    """An IPv4 address of this machine, as it is written. Raises UserError for another one."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise UserError(f"--publish {text}: write an IPv4 address of this machine, such as 192.168.1.20") from None
    if address.is_unspecified or address.is_multicast:
        raise UserError(f"--publish {text}: name one address of this machine, not all of them")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((text, 0))
        except OSError as error:
            raise UserError(f"--publish {text}: this machine does not have that address ({error.strerror})") from None
    return text


async def publish(layout: Layout, view: ClientView, address: str) -> tuple[PublishedServer, ...]:
    """Publish the servers of a lab that is up on this address, and no other any more, until the lab ends.

    Raises MissingError for a port that cannot be had, UserError for an address that this machine does not have.
    """
    check_address(address)
    await end_publication(layout)
    published, routes = [], list[tuple[socket.socket, str, int]]()
    with contextlib.ExitStack() as opened:
        for index, server in enumerate(view.servers):
            if server.client_port is None or server.client_tls_port is None:
                continue
            ports = [server.client_port + STEP * index, server.client_tls_port + STEP * index]
            for port, target in zip(ports, (server.client_port, server.client_tls_port), strict=True):
                routes.append((opened.enter_context(_listen(address, port)), server.address, target))
            published.append(PublishedServer(server.name, server.domain, *ports))
        words = [f"{one.fileno()}={host}:{port}" for one, host, port in routes]
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            build_python_command(__name__, str(layout.root), *words),
            pass_fds=[one.fileno() for one, _, _ in routes],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
            start_new_session=True, env={**os.environ, MARK: str(layout.root)},
        )  # fmt: skip
    if (identity := Identity.of(process.pid)) is None:
        raise MissingError(f"the process that publishes {address} has ended at once")
    write_private(layout.root / _FILE, json.dumps(identity.to_json()))
    return tuple(published)


async def end_publication(layout: Layout) -> bool:
    """End the process that publishes a lab's servers; returns once it has ended, and whether there was one."""
    try:
        identity = Identity.from_json(json.loads((layout.root / _FILE).read_text()))
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or half a file of a command that was killed
        return False
    published = identity.alive
    while identity.alive:
        with contextlib.suppress(ProcessLookupError):
            os.kill(identity.pid, signal.SIGKILL)  # it has nothing to clean up
        await asyncio.sleep(_POLL / 10)
    return published


def _listen(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise MissingError(f"--publish {address}: port {port} is in use there: end what listens") from None
        raise MissingError(f"--publish {address}: port {port} cannot be had ({error.strerror})") from None
    made.setblocking(False)
    return made


async def _serve(layout: Layout, words: Sequence[str]) -> None:
    """Carry connections until the service, which holds this very file locked, has ended, or the record is gone."""
    try:
        service = os.open(layout.service_lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    for word in words:
        descriptor, _, target = word.partition("=")
        host, _, port = target.rpartition(":")

        async def serve(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to: tuple[str, int] = (host, int(port))
        ) -> None:
            if is_held(service):
                await carry(reader, writer, to)
            else:
                writer.transport.abort()

        await asyncio.start_server(serve, sock=socket.socket(fileno=int(descriptor)))
    while layout.state.exists() and is_held(service):  # noqa: ASYNC110 - files, of which no event tells
        await asyncio.sleep(_POLL)


if __name__ == "__main__":
    asyncio.run(_serve(Layout(Path(sys.argv[1])), sys.argv[2:]))
