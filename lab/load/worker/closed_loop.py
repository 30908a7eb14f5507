"""The closed model: as many tokens as users. Each token waits until its action has ended, thinks, and starts another.

The rate is a result here and not given: if a server stops for a while nobody sends, and the pause shows in one message
per token only (coordinated omission). The model finds the throughput; its delays say nothing about a steady load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from time import perf_counter_ns

#: Seconds that a token waits at most: a lost message must not stop it for good.
ACTION_TIMEOUT = 10.0

#: Seconds between two looks for such tokens: a timer for each message would cost as much as parsing it.
CHECK_INTERVAL = 1.0


class ClosedLoop:
    """`perform(intended)` starts an action and returns the key that `on_ended` will be called with."""

    def __init__(self, think: float, perform: Callable[[int], Hashable]) -> None:
        self._think, self._perform = think, perform
        self._waiting: dict[Hashable, int] = {}  # since when, ns of perf_counter_ns
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def start(self, tokens: int) -> None:
        """Start the first action of every token."""
        for _ in range(tokens):
            self._next()
        self._check()

    def on_ended(self, key: Hashable) -> None:
        """The action that a token waits for has ended, well or not."""
        if self._waiting.pop(key, None) is None:
            return
        if self._think:
            self._loop.call_later(self._think, self._next)
        else:  # not at once: sending after everything that was received is read wakes the server less often
            self._loop.call_soon(self._next)

    def stop(self) -> None:
        """Start no action any more."""
        self._stopped = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _next(self) -> None:
        if not self._stopped:
            now = perf_counter_ns()
            self._waiting[self._perform(now)] = now

    def _check(self) -> None:
        before = perf_counter_ns() - int(ACTION_TIMEOUT * 1e9)
        for key in [key for key, since in self._waiting.items() if since < before]:
            self.on_ended(key)
        self._timer = self._loop.call_later(CHECK_INTERVAL, self._check)
