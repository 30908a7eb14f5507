"""Starts the service process of a lab, detached, and waits until it reports that all is up."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from lab.errors import MissingError, NotReady, UserError, decode_error
from lab.plan.layout import Layout
from lab.system.files import read_last_lines
from lab.system.processes import MARK
from lab.system.subprocesses import build_python_command

#: Seconds: Python starts in 0.3. Each server is started in 5 ms, but those that have begun use all cores meanwhile: 600
#: need 60 s on two.
START_PATIENCE, START_PATIENCE_EACH = 60.0, 0.5
_EVIDENCE = 12  # last lines of its log


@dataclass
class _Started:
    """A service that this process started; it is our child process until one of both ends."""

    process: subprocess.Popen[bytes]
    lease: int | None  # writing end of its owner's pipe: the kernel closes it with us, SIGKILL included


_started: dict[str, _Started] = {}  # by the lab's folder


async def start(layout: Layout, reservations: Sequence[int], *, servers: int, owned: bool) -> None:
    """Return once DNS, relays and control socket answer and every server has been started.

    Raises MissingError, UserError or NotReady with the service's message.
    """
    ready_read, ready_write = os.pipe()
    owner_read, lease = os.pipe() if owned else (None, None)
    command = build_python_command("lab.network.service", str(layout.root), "--ready-fd", str(ready_write))
    for descriptor in reservations:
        command += ["--reservation-fd", str(descriptor)]
    if owner_read is not None:
        command += ["--owner-fd", str(owner_read)]
    try:
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            command,
            pass_fds=[ready_write, *reservations, *([] if owner_read is None else [owner_read])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            env={**os.environ, MARK: str(layout.root)},
        )
    finally:
        os.close(ready_write)
        if owner_read is not None:
            os.close(owner_read)
    _started[str(layout.root)] = _Started(process, lease)
    patience = START_PATIENCE + START_PATIENCE_EACH * servers
    _check_answer(layout, await _read_line(ready_read, layout, patience))


def release(layout: Layout) -> None:
    """Release what this process has of a service that has ended: its pipe and its exit status."""
    started = _started.pop(str(layout.root), None)
    if started is None:
        return
    if started.lease is not None:
        os.close(started.lease)
    started.process.wait()


async def _read_line(descriptor: int, layout: Layout, patience: float) -> bytes:
    """The line that the service writes into its pipe, read until the pipe is closed."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb")
    )
    try:
        async with asyncio.timeout(patience):
            return await reader.read()
    except TimeoutError:
        raise NotReady(
            f"the service of {layout.name} has not started all servers within {patience:.0f} s: this machine, with "
            f"{os.cpu_count()} cores, may be too slow or too busy for so many",
            _log(layout),
        ) from None
    finally:
        transport.close()


def _check_answer(layout: Layout, line: bytes) -> None:
    if not line:
        raise NotReady(f"the service of {layout.name} ended before it was up", _log(layout))
    answer = json.loads(line)
    if "error" not in answer:
        return
    error = decode_error(answer["error"])
    if isinstance(error, MissingError | UserError):
        raise error
    raise NotReady(f"the service of {layout.name} did not start: {error}", _log(layout))


def _log(layout: Layout) -> tuple[str, ...]:
    return tuple(read_last_lines(layout.service_log, _EVIDENCE))
