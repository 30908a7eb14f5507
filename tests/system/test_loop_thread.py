"""Work in the loop of another thread: its result, its errors, and how a signal to the main thread ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from lab.system.loop_thread import LoopThread


class _Asked(BaseException):
    """What the handler of the signal raises."""


@pytest.fixture
def _usr1() -> Iterator[None]:
    def handle(number: int, frame: object) -> None:
        raise _Asked

    before = signal.signal(signal.SIGUSR1, handle)
    yield
    signal.signal(signal.SIGUSR1, before)


def _signal_us() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


def test_results_and_errors_are_passed_on() -> None:
    async def add() -> int:
        await asyncio.sleep(0)
        assert threading.current_thread() is not threading.main_thread()
        return 3

    async def fail() -> None:
        raise KeyError("x")

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with LoopThread() as loop:
        assert loop.run(add()) == 3
        with pytest.raises(KeyError):
            loop.run(fail())
        with pytest.raises(asyncio.CancelledError):
            loop.run(cancelled())
        assert loop.run(add()) == 3


@pytest.mark.usefixtures("_usr1")
def test_a_signal_cancels_the_work_and_waits_for_its_end() -> None:
    ended: list[str] = []

    async def work() -> None:
        asyncio.get_running_loop().call_soon(_signal_us)
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            ended.append("in order")
            raise

    with LoopThread() as loop, pytest.raises(_Asked):
        loop.run(work())
    assert ended == ["in order"]


@pytest.mark.usefixtures("_usr1")
def test_a_second_signal_cancels_again_what_ignored_the_first() -> None:
    async def stubborn() -> None:
        asyncio.get_running_loop().call_soon(_signal_us)
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            _signal_us()
            await asyncio.sleep(600)

    with LoopThread() as loop, pytest.raises(_Asked):
        loop.run(stubborn())


@pytest.mark.usefixtures("_usr1")
def test_code_that_blocks_the_loop_is_interrupted_and_the_loop_goes_on() -> None:
    async def block() -> str:
        _signal_us()
        try:
            while True:
                pass
        except KeyboardInterrupt:
            return "interrupted"

    async def block_in_a_task() -> None:
        async def inner() -> None:
            _signal_us()
            while True:
                pass

        await asyncio.create_task(inner())

    async def later() -> int:
        return 1

    with LoopThread() as loop:
        for work in (block(), block_in_a_task()):
            with pytest.raises(_Asked):
                loop.run(work)
            assert loop.run(later()) == 1


@pytest.mark.usefixtures("_usr1")
def test_what_is_left_is_cancelled_at_the_end() -> None:
    ended = threading.Event()

    async def leave() -> asyncio.Task[None]:
        async def stay() -> None:
            try:
                await asyncio.sleep(600)
            finally:
                ended.set()

        task = asyncio.create_task(stay())
        await asyncio.sleep(0)
        return task

    with LoopThread() as loop:
        loop.run(leave())
    assert ended.is_set()
