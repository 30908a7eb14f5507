"""Calls a scenario: whatever leaves it is its result, and it is over when its time is, whatever it does.

The scenario runs in a task of its own. At the end of its time, and where the run is cancelled, that task is cancelled;
where the scenario blocks the event loop, an error interrupts it (lab.system.blocked_loop). One that goes on all the
same is abandoned: its task is closed, and nothing waits for it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from lab.system.blocked_loop import BlockedLoopWatch

#: Seconds that a scenario has to clean up after it was cancelled.
GRACE = 3.0
CLOSING = 0.1  # seconds until the task of a closed coroutine has ended


class Overdue(BaseException):
    """The time of a scenario that blocks the event loop is over."""


@dataclass(frozen=True)
class CallOutcome:
    """How a call ended."""

    error: BaseException | None  # that left it
    overdue: bool  # its time was over first
    ended: bool = True  # False: it went on all the same and was abandoned


async def call(function: Callable[[], Coroutine[Any, Any, None]], within: float) -> CallOutcome:
    """Call a coroutine function; how it ended, after at most `within` seconds and GRACE.

    Raises CancelledError if this call is cancelled, KeyboardInterrupt if the function is left by it.
    """
    coroutine = _returning(function)
    task = asyncio.create_task(coroutine)
    try:
        with BlockedLoopWatch(Overdue, after=within, give_up=_end_command).watching():
            await asyncio.wait((task,), timeout=within)
            if task.done():
                error = _error(task)
                return CallOutcome(error, isinstance(error, Overdue))
            ended = await _cancel(task, coroutine)
        return CallOutcome(_error(task) if ended else None, True, ended)
    except asyncio.CancelledError:
        await _cancel(task, coroutine)
        raise


def _end_command() -> None:
    """End the command, as SIGTERM does, where errors in the scenario are not enough. In a test there is none."""
    if callable(signal.getsignal(signal.SIGTERM)):
        os.kill(os.getpid(), signal.SIGTERM)


async def _returning(function: Callable[[], Coroutine[Any, Any, None]]) -> BaseException | None:
    """The error that leaves a function, None if none does: a task would pass some on to the event loop."""
    try:
        await function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a user's script raises, GeneratorExit and SystemExit too
        return error
    return None


def _error(task: asyncio.Task[BaseException | None]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.result()


async def _cancel(task: asyncio.Task[BaseException | None], coroutine: Coroutine[Any, Any, Any]) -> bool:
    """Cancel a task; False if it goes on for more than GRACE seconds and is abandoned."""
    task.cancel()
    await asyncio.wait((task,), timeout=GRACE)
    if task.done():
        return True
    with contextlib.suppress(BaseException):  # it may refuse this, too
        coroutine.close()
    task.cancel()
    await asyncio.wait((task,), timeout=CLOSING)
    if not task.done():
        asyncio._unregister_task(task)  # or the end of the event loop would wait for it
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # as asyncio does with its own
    elif not task.cancelled():
        task.exception()  # its coroutine was closed: there is nothing to say
    return False
