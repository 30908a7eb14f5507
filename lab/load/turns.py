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


class Turns:
    """`perform(intended)` does an act and gives the key that `ended` will be called with."""

    def __init__(self, think: float, perform: Callable[[int], Hashable]) -> None:
        self._think, self._perform = think, perform
        self._waiting: dict[Hashable, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()
        self._stopped = False

    def begin(self, tokens: int) -> None:
        """Every token's first turn."""
        for _ in range(tokens):
            self._turn()

    def ended(self, key: Hashable) -> None:
        """What a token waits for has come, or come back."""
        timer = self._waiting.pop(key, None)
        if timer is None:
            return
        timer.cancel()
        if self._think:
            self._loop.call_later(self._think, self._turn)
        else:
            self._loop.call_soon(self._turn)

    def stop(self) -> None:
        """No turn begins any more."""
        self._stopped = True
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()

    def _turn(self) -> None:
        if not self._stopped:
            key = self._perform(perf_counter_ns())
            self._waiting[key] = self._loop.call_later(PATIENCE, self.ended, key)
