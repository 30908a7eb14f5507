"""An event loop in a thread of its own, for a main thread that waits for input or for a signal.

Rules:
- `run` returns, or raises, once the work has ended, also where a signal raises an error in the thread that waits: the
  work is cancelled then, and the error raised afterwards;
- code that blocks the loop cannot be cancelled: a KeyboardInterrupt is raised in it, which it notices once the call in
  which it is returns (one to `time.sleep` returns when its time is over).
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from lab.system.blocked_loop import ATTEMPTS, PATIENCE

T = TypeVar("T")


class LoopThread:
    """An event loop that runs for the length of a `with` block, in a thread."""

    def __init__(self, give_up: Callable[[BaseException], None] = lambda _: None) -> None:
        """`give_up` is called with the error of the signal, in the thread that waits, if code cannot be interrupted."""
        self._give_up = give_up
        self._loop = asyncio.new_event_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="xmpplab-loop", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of this work, or its error. An error that a signal raises here meanwhile cancels it."""
        running = _Running(self._loop, work)  # not started yet: what it does may bring a signal
        interruption: BaseException | None = None
        while not running.ended:
            try:
                self._loop.call_soon_threadsafe(running.start)
                if interruption is None:
                    running.wait(threading.TIMEOUT_MAX)
                else:
                    self._cancel(running, interruption)
            except BaseException as error:  # noqa: BLE001 - of a handler of a signal; a second one cancels once more
                interruption = interruption or error
        if interruption is not None:
            raise interruption
        return running.get_result()

    def _cancel(self, running: _Running[Any], interruption: BaseException) -> None:
        """Cancel a task and wait for its end; code that blocks the loop meanwhile is interrupted."""
        self._loop.call_soon_threadsafe(running.cancel)
        attempts = 0
        while not running.wait(PATIENCE):
            answered = threading.Lock()
            answered.acquire()
            self._loop.call_soon_threadsafe(answered.release)
            if answered.acquire(timeout=PATIENCE):
                continue
            attempts += 1
            if attempts == ATTEMPTS:
                self._give_up(interruption)
            _raise_in(self._thread, KeyboardInterrupt)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        while not self._closing:
            try:
                self._loop.run_forever()
            except (KeyboardInterrupt, SystemExit):  # of somebody's task: the loop goes on with the others
                continue
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class _Running(Generic[T]):
    """A task of a loop, for one thread that waits for its end.

    A handler of a signal may raise its error between any two steps of Python code in the main thread. So that thread
    waits for a plain lock, in one call: objects made of a lock and Python code (threading.Event, futures) could stay
    locked.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        self._loop, self._work = loop, work
        self._task: asyncio.Task[T] | None = None
        self.ended = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def start(self) -> None:
        """Begin, if that was not done yet; to be called in the loop."""
        if self._task is None:
            self._task = self._loop.create_task(self._work)
            self._task.add_done_callback(self._end)

    def wait(self, within: float) -> bool:
        """Wait so many seconds for the end; whether it has ended."""
        if not self.ended:
            self._lock.acquire(timeout=within)
        return self.ended

    def cancel(self) -> None:
        """Cancel the task; to be called in the loop."""
        assert self._task is not None
        self._task.cancel()

    def get_result(self) -> T:
        """The result of a task that has ended, or its error."""
        assert self._task is not None
        return self._task.result()

    def _end(self, task: asyncio.Task[T]) -> None:
        self.ended = True
        self._lock.release()


def _raise_in(thread: threading.Thread, error: type[BaseException]) -> None:
    """Raise an error in the Python code that another thread runs."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(error))
