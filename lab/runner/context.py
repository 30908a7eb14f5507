"""The current run: `expect` and `step` find it here, in whatever task they are called."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from lab.history.recorder import Recorder


@dataclass
class Run:
    """What is known of the current run."""

    recorder: Recorder
    failed: tuple[BaseException, str] | None = None  # the last error that left a step, and that innermost step


#: None outside any run: `expect` then only raises, `step` only groups.
current: ContextVar[Run | None] = ContextVar("xmpplab_run", default=None)


@contextmanager
def active(recorder: Recorder) -> Iterator[Run]:
    """Make this the run that `expect` and `step` record into, for the length of the block."""
    run = Run(recorder)
    token = current.set(run)
    try:
        yield run
    finally:
        current.reset(token)
