"""Carries out operations on a running server, through its folder: alike for both runtimes.

Rules:
- as root, files are written with the server's own identity (setfsuid(2), for this thread alone): if a
  server puts a link to another user's file into its folder, writing through it needs the server's own permissions;
- each file is complete or absent: it is written under a temporary name and renamed. Several processes may write the
  same one at once: each process of a load makes all accounts;
- calls go over the server's unix socket; nothing listens on TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from xml.etree import ElementTree as ET

from lab.clients.xmpp.parser import PromptParser
from lab.errors import PeerError, TimedOut, UserError
from lab.servers.software import AdminStanza, File, HttpCall, Operation, WriteFiles
from lab.system.processes import SERVER_UID
from lab.system.sockets import socket_address

CALL_PATIENCE = 30.0  # seconds: an ejabberd makes 1000 accounts in 16 s when asked one by one
_QUOTED = 500  # bytes of a refusal that are quoted
_CHUNK = 64 * 1024
_ADMIN = "xmpp:prosody.im/admin"
_STREAM = "http://etherx.jabber.org/streams"

_libc = ctypes.CDLL(None, use_errno=True)


async def carry_out(folder: Path, operations: Sequence[Operation]) -> tuple[str, ...]:
    """Carry operations out, in order, on the server whose folder this is; what it answered to each.

    Raises PeerError if it refuses, TimedOut if it does not answer, UserError for a path outside its folder.
    """
    answers = []
    for operation in operations:
        match operation:
            case WriteFiles():
                await asyncio.to_thread(write_files, folder, operation.files)
                answers.append("")
            case HttpCall():
                answers.append(await post(folder / operation.socket, operation))
            case AdminStanza():
                answers.append(await administer(folder / operation.socket, operation))
    return tuple(answers)


def write_files(folder: Path, files: Sequence[File]) -> None:
    """Write files below a server's folder, as the server; missing folders are made, 0700."""
    root = os.open(
        folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    )  # which the server need not be able to reach from /
    try:
        with _as_server():
            for file in files:
                _write(root, file)
    finally:
        os.close(root)


def _write(root: int, file: File) -> None:
    path = PurePath(file.path)
    if ".." in path.parts or path.is_absolute():
        raise UserError(f"{file.path}: a server's file must be in the server's folder")
    for folder in reversed(path.parents[:-1]):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700, dir_fd=root)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, file.mode, dir_fd=root)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            os.fchmod(descriptor, file.mode)
            out.write(file.text)
        os.replace(temporary, path, src_dir_fd=root, dst_dir_fd=root)
    except BaseException:
        os.unlink(temporary, dir_fd=root)
        raise


async def administer(path: Path, stanza: AdminStanza) -> str:
    """Send a stanza over a Prosody's admin socket; the text of its result. Raises PeerError, TimedOut."""
    stream = f"<?xml version='1.0'?><stream:stream xmlns='{_ADMIN}' xmlns:stream='{_STREAM}' version='1.0'>"
    try:
        async with asyncio.timeout(CALL_PATIENCE + stanza.extra):
            with socket_address(path) as address:
                reader, writer = await asyncio.open_unix_connection(address)
            try:
                writer.write(f"{stream}{stanza.xml}".encode())
                await writer.drain()
                result = await _admin_result(reader)
            finally:
                writer.close()
    except TimeoutError as error:
        within = CALL_PATIENCE + stanza.extra
        raise TimedOut(f"{stanza.xml}: no answer from the server within {within:.0f} s") from error
    except OSError as error:
        raise PeerError(f"{stanza.xml}: the server's socket {path.name} does not answer ({error})") from error
    if result is None or result.get("type") == "error":
        said = "it closes the stream" if result is None else result.text or "no reason given"
        raise PeerError(f"{stanza.xml}: the server refuses: {said[:_QUOTED]}")
    return result.text or ""


async def _admin_result(reader: asyncio.StreamReader) -> ET.Element | None:
    parser = PromptParser()
    while data := await reader.read(_CHUNK):
        parser.feed(data)
        for _, element in parser.read_events():
            if isinstance(element, ET.Element) and element.tag == f"{{{_ADMIN}}}repl-result":
                return element
    return None


async def post(path: Path, call: HttpCall) -> str:
    """POST over a unix socket; what the server has answered with 200. Raises PeerError, TimedOut."""
    body = call.body.encode()
    head = (
        f"POST {call.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    try:
        async with asyncio.timeout(CALL_PATIENCE + call.extra):
            answer = await _exchange(path, head.encode() + body)
    except TimeoutError as error:
        within = CALL_PATIENCE + call.extra
        raise TimedOut(f"{call.path}: no answer from the server within {within:.0f} s") from error
    except OSError as error:
        raise PeerError(f"{call.path}: the server's socket {path.name} does not answer ({error})") from error
    status = answer.split(b"\r\n", 1)[0].split(b" ")
    if len(status) < 2 or status[1] != b"200":
        raise PeerError(f"{call.path}: the server refuses: {answer[:_QUOTED].decode(errors='replace')}")
    return answer.partition(b"\r\n\r\n")[2].decode(errors="replace")


async def _exchange(path: Path, request: bytes) -> bytes:
    with socket_address(path) as address:
        reader, writer = await asyncio.open_unix_connection(address)
    try:
        writer.write(request)
        await writer.drain()
        return await reader.read(-1)
    finally:
        writer.close()


@contextlib.contextmanager
def _as_server() -> Iterator[None]:
    """As root: this thread's file access is the server's. setfsuid reports no error, so its effect is checked."""
    if os.geteuid() != 0:
        yield
        return
    group, user = _libc.setfsgid(SERVER_UID), _libc.setfsuid(SERVER_UID)
    try:
        if _libc.setfsuid(-1) != SERVER_UID or _libc.setfsgid(-1) != SERVER_UID:
            raise PermissionError("this process may not write files as the server's user")
        yield
    finally:
        _libc.setfsuid(user)
        _libc.setfsgid(group)
