"""The closed model: as many tokens as users, each of which waits for what it did to end, thinks, and goes on.

Its rate is an outcome, not an input: where a server stands still nobody writes, and the pause shows in one message per
token only (coordinated omission). It finds what goes through; its delays say nothing about a steady load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from time import perf_counter_ns

#: Seconds that a token waits: a message that was lost must not stop it for good.
PATIENCE = 10.0


#: Seconds between two looks for tokens that wait too long: a timer for each message would cost as much as its parsing.
LOOK = 1.0


class Turns:
    """`perform(intended)` does an act and gives the key that `ended` will be called with."""

    def __init__(self, think: float, perform: Callable[[int], Hashable]) -> None:
        self._think, self._perform = think, perform
        self._waiting: dict[Hashable, int] = {}  # since when, ns of perf_counter_ns
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    def begin(self, tokens: int) -> None:
        """Every token's first turn."""
        for _ in range(tokens):
            self._turn()
        self._look()

    def ended(self, key: Hashable) -> None:
        """What a token waits for has come, or come back."""
        if self._waiting.pop(key, None) is None:
            return
        if self._think:
            self._loop.call_later(self._think, self._turn)
        else:  # not at once: writing after all that came together was read wakes the server less often
            self._loop.call_soon(self._turn)

    def stop(self) -> None:
        """No turn begins any more."""
        self._stopped = True
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> None:
        if not self._stopped:
            now = perf_counter_ns()
            self._waiting[self._perform(now)] = now

    def _look(self) -> None:
        before = perf_counter_ns() - int(PATIENCE * 1e9)
        for key in [key for key, since in self._waiting.items() if since < before]:
            self.ended(key)
        self._timer = self._loop.call_later(LOOK, self._look)
