"""On which addresses a lab is published, and until when."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from lab.errors import UserError
from lab.network.publication import check_address
from lab.plan.layout import Layout
from lab.system.locks import try_lock
from lab.system.subprocesses import build_python_command

DEADLINE = 60  # seconds


def test_only_one_address_of_this_machine_is_taken() -> None:
    assert check_address("127.0.0.2") == "127.0.0.2"
    for wrong in ("192.0.2.1", "0.0.0.0", "224.0.0.1", "::1", "localhost", ""):
        with pytest.raises(UserError, match="--publish"):
            check_address(wrong)


def answer(server: socket.socket, seen: list[bytes]) -> None:
    """Send back what comes on each connection, until the socket is shut down."""
    with contextlib.suppress(OSError):
        while True:
            accepted, _ = server.accept()
            with accepted:
                while data := accepted.recv(100):
                    seen.append(data)
                    accepted.sendall(data)


@pytest.mark.parametrize("replaced", [False, True])
def test_what_is_published_ends_with_the_labs_service_and_not_only_with_the_lab(tmp_path: Path, replaced: bool) -> None:
    """A service that is killed takes nothing away: its lock is free, and all files are there. Another lab of the name
    may be there at once, with another lock."""
    layout = Layout(tmp_path)
    layout.state.touch()
    service, seen = try_lock(layout.service_lock), list[bytes]()
    assert service is not None
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as public:
        thread = threading.Thread(target=answer, args=(server, seen))
        thread.start()
        word = f"{public.fileno()}=127.0.0.1:{server.getsockname()[1]}"
        public.setblocking(False)
        process = subprocess.Popen(
            build_python_command("lab.network.publication", str(layout.root), word), pass_fds=[public.fileno()]
        )
        try:
            with socket.create_connection(public.getsockname(), DEADLINE) as client:
                client.sendall(b"one")
                assert client.recv(100) == b"one"
                if replaced:
                    layout.service_lock.unlink()
                    other = try_lock(layout.service_lock)
                    assert other is not None
                os.close(service)
                with socket.create_connection(public.getsockname(), DEADLINE) as late, contextlib.suppress(OSError):
                    late.sendall(b"two")
                    public.close()  # or the connection would wait here for somebody to accept it
                    assert late.recv(100) == b""
                assert process.wait(DEADLINE) == 0
                assert client.recv(100) == b""
            if replaced:
                os.close(other)
        finally:
            process.kill()
            process.wait()
            server.shutdown(socket.SHUT_RDWR)
            thread.join(DEADLINE)
    assert seen == [b"one"]
