"""Programs of somebody's in a running federation: each finds the lab's names and trusts its authority."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import PurePath

from lab.errors import MissingError, NotApplicable, TimedOut, UserError, decode_error
from lab.federation.context import Context, describe_duration, read_duration
from lab.federation.guests import Guest
from lab.lifecycle.client_namespace import ClientCommand
from lab.lifecycle.foreground import MODULE
from lab.lifecycle.programs import find_client
from lab.runtime.debian.clients import ensure_client
from lab.system.subprocesses import build_python_command

END_DEADLINE = 10.0  # seconds between SIGTERM and SIGKILL
WAIT_DEADLINE = 60.0  # seconds
LONGEST_OUTPUT = 1024 * 1024  # bytes of its output that are kept, the last ones
_LINES = 8  # last lines of its output that are quoted


class Program:
    """A program that runs in the lab (docs/with.md). Made by `Federation.process` and `client`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self._output = bytearray()
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has written until now to standard output and standard error, at most the last million bytes."""
        return self._output.decode(errors="replace")

    @property
    def exit_code(self) -> int | None:
        """Its exit code, or the negative number of the signal that ended it; None while it runs."""
        return self._process.returncode

    async def wait(self, within: str | float = WAIT_DEADLINE) -> int:
        """Return its exit code once it has ended by itself, or the negative number of the signal that ended it.

        `within` is in seconds, or a text such as "60s". Raises TimedOut, with the end of its output.
        """
        try:
            async with asyncio.timeout(read_duration(within)):
                await self._process.wait()
                await asyncio.shield(self._reader)
        except TimeoutError:
            raise TimedOut(f"{self.name} did not end within {describe_duration(within)}", self.last_lines()) from None
        assert self._process.returncode is not None
        return self._process.returncode

    async def write(self, text: str) -> None:
        """Write to its standard input, which stays open. Returns once it is written. Raises UserError if it is gone."""
        if self._process.stdin is None or self._process.stdin.is_closing():
            raise UserError(f"{self.name} has no standard input: it was given all of it at its start, or has ended")
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(text.encode())
            await self._process.stdin.drain()

    def last_lines(self) -> tuple[str, ...]:
        """The last lines that it has written."""
        return tuple(self.output.splitlines()[-_LINES:])

    async def end(self) -> None:
        """End it, unless it has ended: SIGTERM, and SIGKILL ten seconds later. Returns once it has ended."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), END_DEADLINE)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
        self._reader.cancel()  # a child of its own may hold the pipe
        await asyncio.wait([self._reader])

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while data := await self._process.stdout.read(65536):
            self._output += data
            del self._output[:-LONGEST_OUTPUT]


@asynccontextmanager
async def run_program(
    context: Context,
    argv: Sequence[str],
    stdin: str | None,
    environment: Mapping[str, str] | None,
    home: bool,
) -> AsyncIterator[Program]:
    """See `Federation.process`."""
    if isinstance(argv, str) or not argv:
        raise UserError(f"process: the program and its arguments are a list of texts, not {argv!r}")
    command = ClientCommand(context.lab.name, tuple(map(str, argv)), None, home)
    async with _run(context, PurePath(argv[0]).name, command, stdin, environment or {}) as program:
        yield program


@asynccontextmanager
async def run_client(
    context: Context, name: str, guest: Guest, arguments: Sequence[str], stdin: str | None
) -> AsyncIterator[Program]:
    """See `Federation.client`."""
    found = find_client(name)
    try:
        tree = await ensure_client(
            found.name, found.packages, lambda text: context.history.note(text, by=found.name), found.npm
        )
    except MissingError as error:
        raise NotApplicable(f"{found.name} cannot be fetched here: {error}") from error
    person = f"{guest.name}@{guest.server.name}"
    command = ClientCommand(context.lab.name, tuple(arguments), person, home=True, client=found.name, tree=tree)
    async with _run(context, found.name, command, stdin, {}) as program:
        yield program


@asynccontextmanager
async def _run(
    context: Context, name: str, command: ClientCommand, stdin: str | None, environment: Mapping[str, str]
) -> AsyncIterator[Program]:
    program = Program(name, await _start(command, environment))
    context.history.note(f"{name} was started", by=name)
    try:
        if stdin is not None:
            await program.write(stdin)
            assert program._process.stdin is not None
            program._process.stdin.close()
        yield program
    finally:
        await asyncio.shield(program.end())
        said = "\n".join(("", *program.last_lines()))
        context.history.note(f"{name} has ended with {program.exit_code}{said.rstrip()}", by=name)


async def _start(command: ClientCommand, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """The process, once it has become the program. Raises what kept it from that."""
    lab, *words = command.build_words()
    reading, writing = os.pipe()
    argv = build_python_command(MODULE, lab, "--parent", str(os.getpid()), "--errors", str(writing), *words)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **environment},
            pass_fds=(writing,),
        )
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = await asyncio.to_thread(pipe.read)  # its end: the program runs, or could not be started
    if said:
        await process.wait()
        raise decode_error(json.loads(said))
    return process
