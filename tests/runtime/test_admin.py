"""Files written into a running server's folder: whole or not there, whoever else writes the same one."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.errors import PeerError, UserError
from lab.runtime import admin as operations
from lab.servers.software import AdminStanza, File
from lab.system.processes import SERVER_UID
from lab.system.sockets import socket_address

NAME = "data/a%2etest/accounts/load1.dat"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A server's folder: the server's own, as far as we may give it away."""
    made = tmp_path / "server"
    made.mkdir(0o700)
    if os.geteuid() == 0:
        os.chown(made, SERVER_UID, SERVER_UID)
    return made


def test_several_may_write_the_same_file_at_once_and_nothing_else_is_left(folder: Path) -> None:
    texts = [str(number) * 10_000 for number in range(4)]
    with ThreadPoolExecutor(len(texts)) as pool:
        for _ in range(50):
            list(pool.map(lambda text: operations.write_files(folder, [File(NAME, text)]), texts))
            assert (folder / NAME).read_text() in texts
    assert list((folder / NAME).parent.iterdir()) == [folder / NAME]


def test_a_file_that_cannot_be_moved_to_its_place_leaves_nothing_beside_it(folder: Path) -> None:
    operations.write_files(folder, [File(f"{NAME}/inner", "")])  # now a folder is there
    with pytest.raises(IsADirectoryError):
        operations.write_files(folder, [File(NAME, "text")])
    assert list((folder / NAME).parent.iterdir()) == [folder / NAME]


def test_a_file_must_lie_in_the_servers_folder(folder: Path) -> None:
    for path in ("../x", "/etc/x", "a/../../x"):
        with pytest.raises(UserError, match="the server's folder"):
            operations.write_files(folder, [File(path, "")])
    assert list(folder.iterdir()) == []


RESULTS = {
    "it did": "<repl-result>token</repl-result>",
    "it refuses": "<repl-result type='error'>no such account</repl-result>",
    "it closes": "",
}


@pytest.mark.parametrize("case", RESULTS)
async def test_a_stanza_to_prosodys_admin_socket_is_answered(case: str, folder: Path) -> None:
    received = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.readuntil(b"</lab-invitation>"))
        writer.write(b"<?xml version='1.0'?><stream:stream xmlns='xmpp:prosody.im/admin' ")
        await writer.drain()
        writer.write(f"xmlns:stream='http://etherx.jabber.org/streams'><repl-output/>{RESULTS[case]}".encode())
        writer.close()

    with socket_address(folder / "admin.sock") as address:
        server = await asyncio.start_unix_server(answer, address)
    call = operations.carry_out(folder, [AdminStanza("admin.sock", "<lab-invitation></lab-invitation>")])
    async with server:
        if case == "it did":
            assert await call == ("token",)
        else:
            with pytest.raises(PeerError, match="no such account" if case == "it refuses" else "it closes the stream"):
                await call
    assert received[0].endswith(b"version='1.0'><lab-invitation></lab-invitation>")


async def test_a_server_without_its_socket_is_said(folder: Path) -> None:
    with pytest.raises(PeerError, match=r"socket admin\.sock does not answer"):
        await operations.carry_out(folder, [AdminStanza("admin.sock", "<x/>")])
