"""A socket's address is at most 107 bytes, a path may be longer."""

import socket
from pathlib import Path

import pytest

from lab.system.sockets import LONGEST_PATH, socket_address


@pytest.mark.parametrize("name", ["short", "x" * LONGEST_PATH])
def test_a_socket_below_any_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / name / "socket"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        with socket_address(path) as address:
            server.bind(address)
        server.listen()
        assert path.is_socket()
        with socket_address(path) as address:
            client.connect(address)
