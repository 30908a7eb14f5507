"""An event loop whose clock moves only while nothing else is to do: what takes time on it takes that time exactly.

Sockets are real ones, on loopback. Where nothing can run, nothing can be read and the kernel has delivered all that was
written, the clock goes to the next timer, without waiting for it.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import functools
import selectors
import termios
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any
from unittest import mock

from lab.network import relay

LOOK = 0.002  # seconds, real ones, between two looks at what the kernel still has to deliver
LONGEST = 2.0  # seconds, real ones: what is not delivered by then is held back by its receiver


class _Selector(selectors.BaseSelector):
    """The system's own; instead of waiting for a timer it moves the clock."""

    def __init__(self) -> None:
        self._inner = selectors.DefaultSelector()
        self._seen: set[int] = set()  # every descriptor that was registered once; a relay registers some only at times
        self.now = 1000.0

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._inner.register(fileobj, events, data)
        self._seen.add(key.fd)
        return key

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
        deadline = time.monotonic() + LONGEST
        while True:
            # First what is on its way, then what has arrived: the other way round something could slip between.
            travelling = any(map(_undelivered, self._seen)) and time.monotonic() < deadline
            if ready := self._inner.select(LOOK):
                return ready
            if not travelling:
                self.now += timeout
                return []


def _undelivered(descriptor: int) -> int:
    """Bytes written to a TCP socket that its peer's kernel has not acknowledged (SIOCOUTQ, tcp(7))."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, count)
    except OSError:  # closed since, or no connection
        return 0
    return count[0]


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
        with mock.patch.object(relay, "time", clock):
            runner.run(test(*args, **kwargs))
