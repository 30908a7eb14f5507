"""Expectations: what a scenario says must hold."""

from __future__ import annotations

from typing import Any

from lab.history.events import Expectation
from lab.runner.context import current
from lab.runner.steps import around


class ExpectationFailed(AssertionError):
    """An expectation that does not hold. The history has it as an Expectation event."""


def expect(actual: object, expected: object, *, because: str = "", message: object = None) -> None:
    """State what must hold: `expect(await message.outcome(), link.promise)`.

    `expected` is a value that `actual` must equal, or an object with `matches(actual) -> bool` whose text says what it
    requires. `because` is added to the error's text; `message` (a message or its id) is the one that the report then
    shows. Inside a run an Expectation event is recorded, whether it holds or not. Raises ExpectationFailed, an
    AssertionError, if it does not hold.
    """
    held = _holds(actual, expected)
    run = current.get()
    if run is not None:
        run.recorder.record(
            Expectation(
                at=run.recorder.now(),
                expected=_text(expected),
                actual=_text(actual) + (f" (expected because {because})" if because and not held else ""),
                held=held,
                step=around.get()[-1] if around.get() else "",
                message=_message(message) or (None if isinstance(actual, str) else _message(actual)),
                timed_out=not held and getattr(actual, "settled", True) is False,
            )
        )
    if not held:
        reason = f", because {because}" if because else ""
        raise ExpectationFailed(f"expected {_text(expected)}{reason}; got {_text(actual)}")


def _holds(actual: Any, expected: Any) -> bool:
    matches = getattr(expected, "matches", None)
    return bool(matches(actual) if callable(matches) else actual == expected)


def _text(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _message(value: object) -> str | None:
    """The id of a message: an id itself, a message's own, or that of the message it is the outcome of."""
    if isinstance(value, str):
        return value
    found = getattr(value, "message", None) or getattr(value, "id", None)
    return found if isinstance(found, str) else None
