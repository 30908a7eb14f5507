"""Ends Python code that blocks the event loop: a cancellation cannot reach it, an error raised by a signal can.

A thread asks the loop to call something back. Where it does not within PATIENCE seconds, the thread sends the main
thread a signal whose handler raises an error there: in whatever Python code runs, also within `time.sleep` or a read.

It works in the main thread only; elsewhere nothing is watched. Code that catches every error and goes on is
interrupted again and again; `give_up` is called in the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType

#: Seconds in which a loop calls back, unless something blocks it.
PATIENCE = 1.0
#: How often code is interrupted before `give_up` is called.
ATTEMPTS = 5
#: Nothing else uses it: neither Python's libraries nor pytest's.
SIGNAL = signal.SIGRTMIN + 9

#: What makes the errors that the handler is to raise. A signal that arrives after its watch has ended raises nothing.
_due: deque[Callable[[], BaseException]] = deque()


class BlockedLoopWatch:
    """Watches the running loop: from `begin` on, or once `after` seconds are over. Use it in a `with` block."""

    def __init__(
        self,
        error: Callable[[], BaseException],
        *,
        after: float | None = None,
        give_up: Callable[[], None] | None = None,
    ) -> None:
        self._error, self._after, self._give_up = error, after, give_up
        self._begun, self._over = threading.Event(), threading.Event()

    def begin(self) -> None:
        """Watch from now on. May be called by the handler of a signal."""
        self._begun.set()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the running loop for the length of the block."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        before = signal.signal(SIGNAL, _raise)
        thread = threading.Thread(target=self._watch, args=(loop,), name="xmpplab-blocked-loop", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._begun.set()
            thread.join()
            with contextlib.suppress(ValueError):
                while True:
                    _due.remove(self._error)
            signal.signal(SIGNAL, before)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._begun.wait(self._after)
        attempts = 0
        while not self._over.is_set():
            answered = threading.Event()
            try:
                loop.call_soon_threadsafe(answered.set)
            except RuntimeError:  # it is closed
                return
            if _either(answered, self._over):
                self._over.wait(PATIENCE)
                continue
            attempts += 1
            if attempts > ATTEMPTS and self._give_up is not None:
                self._give_up()
            _due.append(self._error)
            signal.pthread_kill(threading.main_thread().ident or 0, SIGNAL)


def _either(answered: threading.Event, over: threading.Event) -> bool:
    """Wait at most PATIENCE seconds until one is set; False if none is."""
    steps = 20
    return any(over.is_set() or answered.wait(PATIENCE / steps) for _ in range(steps))


def _raise(number: int, frame: FrameType | None) -> None:
    if _due:
        raise _due.popleft()()
