"""Runs a command in a running container on this terminal.

With a terminal here it gets one there (raw mode, window size followed); without one, output and error stay apart.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lab.errors import UserError
from lab.runtime.containers.attached_streams import ERROR, Frames, take_socket

if TYPE_CHECKING:
    from docker import DockerClient

_CHUNK = 65536


def run(client: DockerClient, container: str, argv: Sequence[str], user: str, folder: str) -> int:
    """Run a command there, in that folder, with this process's standard input and output; its exit code.

    Blocks; main thread only. Raises UserError if there is no such command: the engine would write its error as the
    command's output.
    """
    known = ["sh", "-c", 'command -v "$1"', "sh", argv[0]]
    if client.containers.get(container).exec_run(known, user=user, workdir=folder).exit_code:
        raise UserError(f"{argv[0]}: not found in the container {container}")
    terminal = os.isatty(0) and os.isatty(1)
    made = client.api.exec_create(container, list(argv), stdin=True, tty=terminal, user=user, workdir=folder)["Id"]
    connection = take_socket(client.api.exec_start(made, tty=terminal, socket=True))
    with connection, _raw(client, made) if terminal else contextlib.nullcontext():
        _pump(connection, terminal)
    return int(client.api.exec_inspect(made)["ExitCode"])


def _pump(connection: socket.socket, terminal: bool) -> None:
    frames = Frames()
    sources: list[Any] = [connection, 0]
    while True:
        readable, _, _ = select.select(sources, [], [])
        if connection in readable:
            data = connection.recv(_CHUNK)
            if not data:
                return
            for stream, payload in [(1, data)] if terminal else frames.feed(data):
                out = sys.stderr if stream == ERROR else sys.stdout
                out.buffer.write(payload)
                out.flush()
        if 0 in readable:
            typed = os.read(0, _CHUNK)
            if typed:
                connection.sendall(typed)
            else:  # our input has ended: end the command's
                sources.remove(0)
                connection.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def _raw(client: DockerClient, made: str) -> Iterator[None]:
    """This terminal in raw mode, and the container's of the same size."""
    resize = _resizer(client, made)
    before = termios.tcgetattr(0)
    handler = signal.signal(signal.SIGWINCH, lambda *_: resize())
    try:
        tty.setraw(0)
        resize()
        yield
    finally:
        signal.signal(signal.SIGWINCH, handler)
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _resizer(client: DockerClient, made: str) -> Callable[[], None]:
    def resize() -> None:
        columns, lines = shutil.get_terminal_size()
        client.api.exec_resize(made, height=lines, width=columns)

    return resize
