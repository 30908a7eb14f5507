"""`xmpplab shell`: a Python prompt, or a script, with a federation in it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab import exit_codes
from lab.cli.options import LabOption, RuntimeChoice, RuntimeOption
from lab.cli.output import print_text
from lab.system.tables import wrap_text

if TYPE_CHECKING:
    from lab.runner.shell_session import ShellSession
    from lab.system.loop_thread import LoopThread

HISTORY = "shell-history"
HISTORY_LINES = 1000


def shell(
    name: LabOption = None,
    topology: Annotated[
        str | None,
        typer.Option("--topology", "-t", metavar="TOPOLOGY", help="Start such a lab for it.", show_default=False),
    ] = None,
    runtime: RuntimeOption = RuntimeChoice.AUTO,
    code: Annotated[
        str | None,
        typer.Option("--code", "-c", metavar="CODE", help="Run this instead of a prompt.", show_default=False),
    ] = None,
) -> None:
    """Open a Python prompt with a running federation in it.

    `await` works at the prompt. Standard input that is no terminal is run as a script. The exit code is 0, 1 if the
    script ended with an error, or what it gives to sys.exit().
    """
    from lab.cli.entry_point import ignoring_signals
    from lab.cli.output import make_plain_progress
    from lab.errors import UserError
    from lab.runner.shell_session import open_session
    from lab.system.loop_thread import LoopThread
    from lab.topology.files import load

    if topology is not None and name is not None:
        raise UserError("--name is a lab that is up, -t starts one: use one of the two")
    wanted = None if topology is None else load(topology)
    at_prompt = code is None and sys.stdin.isatty()
    script = b"" if at_prompt else sys.stdin.buffer.read() if code is None else code.encode()
    progress = make_plain_progress()
    with LoopThread(give_up=partial(_give_up, at_prompt)) as loop:
        session = loop.run(open_session(name, wanted, runtime.value, progress, progress))
        try:
            status = _prompt(session, loop) if at_prompt else _run(script, session, loop)
        finally:
            with ignoring_signals():  # nothing ends the clean-up before its end
                loop.run(session.close())
    raise typer.Exit(status)


def _give_up(at_prompt: bool, error: BaseException) -> None:
    """What is done if a signal asked code to end that cannot be interrupted."""
    from lab.cli.entry_point import Terminated, end_now

    if isinstance(error, Terminated):
        end_now(error.number)
    if not at_prompt:
        end_now(signal.SIGINT)
    print_text("what runs cannot be interrupted; Ctrl-\\ ends the shell at once, accounts then stay", error=True)


def _run(script: bytes, session: ShellSession, loop: LoopThread) -> int:
    """Run a script; its exit code."""
    from lab.runner.console import SCRIPT, render_error, run_script

    error = run_script(script, session.namespace, loop)
    if error is None or isinstance(error, SystemExit):
        return _read_status(error)
    print_text(render_error(error, SCRIPT), error=True)
    return exit_codes.get_exit_code(error, exit_codes.FAILED)


def _prompt(session: ShellSession, loop: LoopThread) -> int:
    """Read and run statements until Ctrl-D; the exit code."""
    from lab.runner.console import Console

    console = Console(session.namespace, loop, lambda text: print_text(text, error=True))
    with _line_editing(session.namespace):
        try:
            console.interact(banner=describe(session), exitmsg="")
        except SystemExit as asked:
            return _read_status(asked)
    return exit_codes.VALID


def _read_status(asked: SystemExit | None) -> int:
    """The exit code that `exit(...)` means: a number is one, another value is printed."""
    if asked is None or asked.code is None:
        return exit_codes.VALID
    if isinstance(asked.code, int):
        return asked.code
    print_text(asked.code, error=True)
    return exit_codes.FAILED


def describe(session: ShellSession) -> str:
    """The lines above the first prompt: which lab it is, what is there, and an example."""
    lab, names = session.lab, ("federation", *session.servers)
    example = f'alice = await {session.servers[0] if session.servers else "federation.servers[0]"}.person("alice")'
    return "\n".join(
        text
        for line in (
            f"{lab.name} ({lab.runtime.name}): {', '.join(names)}, faults, expect, step; Tab completes, Ctrl-D ends.",
            f"Accounts that are made here go at the end{' with the lab' if lab.owned else ''}: {example}",
        )
        for text in wrap_text(line, then="  ")
    )


@contextlib.contextmanager
def _line_editing(namespace: dict[str, Any]) -> Iterator[None]:
    """Completion of names and a history of lines, where Python has readline."""
    try:
        import readline
        import rlcompleter
    except ImportError:
        yield
        return
    from lab.plan.layout import find_home

    readline.set_completer(rlcompleter.Completer(namespace).complete)
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
    readline.set_history_length(HISTORY_LINES)
    history = find_home() / HISTORY
    try:
        readline.read_history_file(history)
    except FileNotFoundError:
        pass
    except OSError as error:
        print_text(f"{history}: the lines of earlier sessions cannot be read: {error.strerror}", error=True)
    try:
        yield
    finally:
        try:
            os.close(os.open(history, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))  # never readable by others
            readline.write_history_file(history)
        except OSError as error:
            print_text(f"{history}: the lines of this session are not kept: {error.strerror}", error=True)
