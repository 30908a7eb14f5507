"""Runs somebody's program in a lab and waits for it: where something has to be done once it has ended.

The program has this process's terminal, and is in its process group: what the terminal sends (Ctrl-C, Ctrl-Z) reaches
both, and this process leaves it to the program. Signals that a process sends to this one are passed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

from lab import exit_codes
from lab.lifecycle.client_namespace import ClientCommand
from lab.system.subprocesses import build_python_command

MODULE = "lab.lifecycle.client_namespace"
_OF_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_PASSED_ON = (*_OF_TERMINAL, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


async def run(command: ClientCommand) -> int:
    """Run a program in a lab; its exit code, or 128 and the number of the signal that ended it.

    It is killed if this process ends first.
    """
    lab, *words = command.build_words()
    argv = build_python_command(MODULE, lab, "--parent", str(os.getpid()), *words)
    process = await asyncio.create_subprocess_exec(*argv)
    with _signals_to(process):
        code = await process.wait()
    return code if code >= 0 else exit_codes.SIGNAL - code


@contextlib.contextmanager
def _signals_to(process: asyncio.subprocess.Process) -> Iterator[None]:
    """Pass signals on to the program, but for those that it has got from the terminal as well."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        if number not in _OF_TERMINAL or not _is_in_foreground():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in _PASSED_ON}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_in_foreground() -> bool:
    """Whether this process is in the foreground of a terminal, which sends Ctrl-C to all processes there."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)
