"""An event loop whose clock moves only while nothing else is to do: what takes time on it takes that time exactly.

Sockets are real ones, on loopback: what one side has written, the other can read at once. Where nothing can be read and
nothing can run for GRACE seconds of real time, the clock goes to the next timer, without waiting for it.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from unittest import mock

from lab.network import flow

GRACE = 0.02  # seconds, real ones: a busy kernel may be late with a packet by less


class _Selector(selectors.BaseSelector):
    """The system's own; instead of waiting for a timer it moves the clock."""

    def __init__(self) -> None:
        self._inner = selectors.DefaultSelector()
        self.now = 1000.0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return self._inner.select(timeout)
        ready = self._inner.select(GRACE)
        if not ready:
            self.now += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`loop.time()` is the clock that moves; it begins at 1000 seconds."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on such a loop, relays included, in a thread of its own beside pytest's loop."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with ThreadPoolExecutor(1) as thread:
            thread.submit(_run, test, args, kwargs).result(120)

    return run


def _run(test: Callable[..., Coroutine[Any, Any, None]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        clock = SimpleNamespace(monotonic=runner.get_loop().time)
        with mock.patch.object(flow, "time", clock):
            runner.run(test(*args, **kwargs))
