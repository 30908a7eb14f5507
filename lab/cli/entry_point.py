"""The entry point of the command: it turns errors and signals into one line for people and an exit code.

This is where the command catches every error (lab.runner.batch does, too, between two topologies). The table is
docs/exit-codes.md:

    UserError, bad arguments  64      MissingError  69      NotReady  3      anything else  70
    SIGINT  130               SIGTERM  143          SIGHUP  129              output closed  141

A signal ends the work with an exception (a cancelled task where an event loop runs), so that everything that was
opened is closed: a lab is taken down, a history is finished.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import typer

from lab import exit_codes
from lab.cli.output import print_text
from lab.errors import LabError, MissingError
from lab.system.blocked_loop import BlockedLoopWatch

T = TypeVar("T")

#: Signals that ask the command to end. Outside an event loop Python itself turns SIGINT into KeyboardInterrupt.
ENDING = (signal.SIGTERM, signal.SIGHUP)
ENDING_WORK = (signal.SIGINT, *ENDING)

#: Older tracebacks are deleted: a test suite in a loop must not fill the disk.
MAX_TRACEBACKS = 20

_ROOM = "Make room there, or set XMPPLAB_HOME (labs), XMPPLAB_CACHE (servers) or --runs to a folder on another disk"
_RIGHT = "Use a folder that you may write to: XMPPLAB_HOME for labs, XMPPLAB_CACHE for servers, --runs for runs"
_FILES = "Raise the limit of open files (ulimit -n), or start fewer servers"
#: Errors of the operating system that say something about the machine, and what to do.
_MACHINE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: _RIGHT,
    errno.EACCES: _RIGHT,
    errno.EPERM: _RIGHT,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOMEM: "Start fewer servers",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)


class CommandSettings:
    """The options before the verb."""

    debug = False  # tracebacks on standard error instead of in a file


class Terminated(BaseException):
    """A signal asked the command to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit code."""
    CommandSettings.debug = False
    try:
        with _signals():
            code = typer.main.get_command(app).main(args=arguments, prog_name="xmpplab", standalone_mode=False)
    except typer.TyperException as error:
        return _usage(error)
    except typer.Abort:
        return exit_codes.SIGNAL + signal.SIGINT
    except SystemExit:  # typer raises it for EPIPE; verbs end with typer.Exit
        return exit_codes.SIGNAL + signal.SIGPIPE
    except Terminated as ended:
        if ended.number == signal.SIGINT:
            return exit_codes.SIGNAL + signal.SIGINT
        print_error(f"ended by {signal.Signals(ended.number).name}")
        return exit_codes.SIGNAL + ended.number
    except KeyboardInterrupt:
        return exit_codes.SIGNAL + signal.SIGINT
    except Exception as error:  # noqa: BLE001 - the last handler
        return report_error(error)
    return code if isinstance(code, int) else exit_codes.VALID


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`; SIGINT, SIGTERM and SIGHUP cancel the work, and Terminated is raised then.

    Work that blocks the event loop is interrupted by Terminated; if it goes on all the same, this process ends, and
    with it the labs that it owns.
    """

    async def cancellable() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        ended: list[int] = []
        watch = BlockedLoopWatch(lambda: Terminated(ended[0]), give_up=lambda: end_now(ended[0]))

        def end(number: int, frame: FrameType | None) -> None:
            if not ended and task:  # a second signal must not interrupt the clean-up of the first
                loop.call_soon_threadsafe(task.cancel)  # it also wakes up a loop that waits
                watch.begin()
            ended.append(number)

        with _signals(end, ENDING_WORK), watch.watching():
            try:
                return await coroutine
            except asyncio.CancelledError:
                if ended:
                    raise Terminated(ended[0]) from None
                raise

    return asyncio.run(cancellable())


def report_error(error: Exception) -> int:
    """Print an error in one line (with its evidence, and the path of its traceback); returns its exit code."""
    if isinstance(error, OSError) and error.errno in _MACHINE:
        error = _of_machine(error)
    code = exit_codes.get_exit_code(error)
    text = str(error) if isinstance(error, LabError) else f"internal error: {type(error).__name__}: {error}"
    if CommandSettings.debug:
        print_text("".join(traceback.format_exception(error)), error=True, end="")
    elif code == exit_codes.INTERNAL:  # else the message alone says what to do
        text += f"\n{_write_traceback(error)}"
    print_error(text)
    return code


def _of_machine(error: OSError) -> MissingError:
    """The error of the operating system as one that says what to do: it is not an error of the lab."""
    assert error.errno is not None
    where = f"{error.filename}: " if error.filename else ""
    disk = f" (the disk is that of {_mount_point(Path(error.filename))})" if where and error.errno in _FULL else ""
    return MissingError(f"{where}{error.strerror}{disk}. {_MACHINE[error.errno]}")


def _mount_point(path: Path) -> Path:
    """Where the file system of a file is mounted."""
    path = path.absolute()
    return next((each for each in path.parents if each.is_mount()), path)


def print_error(text: str) -> None:
    """Print a line on standard error."""
    with contextlib.suppress(BrokenPipeError):  # nobody reads it any more; the exit code is still correct
        print_text(f"xmpplab: {text}", error=True)


def _usage(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    message = error.format_message().replace(": Value error, ", ": ")  # pydantic's words, which say nothing more
    if message.startswith("Usage:"):  # there is no verb: the message is the help
        print_text(message, error=True)
        return exit_codes.USAGE
    hint = f"\nSee '{context.command_path} --help'." if context else ""
    print_error(f"{message}{hint}")
    return exit_codes.USAGE


def _write_traceback(error: Exception) -> str:
    """Write the traceback into a new file; returns a sentence that says which."""
    from lab.plan.layout import find_home
    from lab.system.files import write_private

    text = "".join(traceback.format_exception(error))
    path = find_home() / "errors" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, text)
        for old in sorted(path.parent.glob("*.txt"))[:-MAX_TRACEBACKS]:
            old.unlink(missing_ok=True)
    except OSError as problem:
        return f"(no file could be written for the traceback: {problem})\n{text}"
    return f"The traceback is in {path}; --debug before the verb prints it."


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


@contextlib.contextmanager
def ignoring_signals() -> Iterator[None]:
    """A block, such as a clean-up, that signals which ask for an end do not interrupt."""
    with _signals(lambda number, frame: None, ENDING_WORK):
        yield


def end_now(number: int) -> None:
    """End this process at once: what blocks it cannot be interrupted."""
    print_error(f"ended by {signal.Signals(number).name}, although its work cannot be interrupted")
    os._exit(exit_codes.SIGNAL + number)


@contextlib.contextmanager
def _signals(
    handler: Callable[[int, FrameType | None], None] = _terminate, numbers: Sequence[signal.Signals] = ENDING
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
