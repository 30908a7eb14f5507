"""A step of a scenario: a sentence that the report shows with its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from lab.history.events import Step
from lab.runner.context import current

#: Sentences of the steps around the running code, outermost first. Each task has its own.
around: ContextVar[tuple[str, ...]] = ContextVar("xmpplab_steps", default=())


@contextmanager
def step(text: str) -> Iterator[None]:
    """Name what the block does: `with step("everyone writes to everyone else"): ...`.

    Its beginning and its end are recorded as Step events; it has failed if an error leaves the block. Outside a run it
    does nothing. Errors of the block are raised unchanged.
    """
    run = current.get()
    if run is None:
        yield
        return
    recorder = run.recorder
    token = around.set((*around.get(), text))
    recorder.record(Step(at=recorder.now(), text=text, phase="begin"))
    failed = True
    try:
        yield
        failed = False
    except BaseException as error:
        if run.failed is None or run.failed[0] is not error:
            run.failed = (error, text)
        raise
    finally:
        around.reset(token)
        recorder.record(Step(at=recorder.now(), text=text, phase="end", failed=failed))
